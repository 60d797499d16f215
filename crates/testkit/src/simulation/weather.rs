//! What goes wrong in a day, and when: spells of bad weather, and incidents.

use std::time::Duration;

use super::clock::At;
use super::dice::Dice;
use super::faults::Fault;
use super::site::Site;

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;

/// Until when in the day things go wrong; what is left of it is for recovery.
pub(crate) const TROUBLE_ENDS: Duration = Duration::from_secs(22 * HOUR);

/// A spell in which requests meet a fault.
#[derive(Debug)]
struct Spell {
    from: At,
    to: At,
    issuer: usize,
    /// Only this client's requests.
    client: Option<usize>,
    fault: Fault,
    chance: f64,
}

/// A day's weather.
#[derive(Debug, Default)]
pub(crate) struct Weather {
    spells: Vec<Spell>,
    /// When a server's clock is off: which, from when to when, by how many seconds.
    clocks: Vec<(usize, At, At, i64)>,
    /// Single events.
    pub(crate) incidents: Vec<(At, Fault)>,
}

/// What a token endpoint can do, besides being right.
const OF_TOKENS: &[Fault] = &[
    Fault::ConnectionRefused,
    Fault::ResetBefore,
    Fault::ResetAfter,
    Fault::HangBeforeHeaders,
    Fault::HangInBody,
    Fault::SlowReply,
    Fault::SlowerThanItsToken,
    Fault::TlsFailure,
    Fault::DnsFailure,
    Fault::BodyOverLimit,
    Fault::Status500,
    Fault::Status502Html,
    Fault::Status503Seconds,
    Fault::Status503Date,
    Fault::Status429Absurd,
    Fault::Status408,
    Fault::Status425,
    Fault::OkWithError,
    Fault::OkWithHtml,
    Fault::Redirect,
    Fault::Empty403,
    Fault::Gateway401,
    Fault::InvalidClient,
    Fault::InvalidScope,
    Fault::InvalidTarget,
    Fault::UnauthorizedClient,
    Fault::ServerError,
    Fault::TemporarilyUnavailable,
    Fault::UseDpopNonce,
    Fault::UnknownError,
    Fault::NoLifetime,
    Fault::ZeroLifetime,
    Fault::NegativeLifetime,
    Fault::TextLifetime,
    Fault::HugeLifetime,
    Fault::FractionalLifetime,
    Fault::TinyLifetime,
    Fault::Reissued,
    Fault::LineBreakInToken,
    Fault::WrongTokenType,
    Fault::DuplicateKey,
    Fault::NarrowerScope,
    Fault::WiderScope,
];

/// What happens at a moment.
const INCIDENTS: &[Fault] = &[
    Fault::WallClockJumpsHours,
    Fault::WallClockJumpsDay,
    Fault::WallClockJumpsYear,
    Fault::Suspended,
    Fault::StoreLocked,
    Fault::StoreHangs,
    Fault::StoreSlow,
    Fault::CredentialReplaced,
    Fault::CredentialReplacedByWrong,
    Fault::NextCredential,
    Fault::NextCredential,
    Fault::WrongNextCredential,
    Fault::CredentialReplacedBehind,
    Fault::CredentialRemoved,
    Fault::CredentialRemovedBehind,
    Fault::Restarted,
    Fault::Killed,
    Fault::KilledAndDamaged,
    Fault::KilledAndRolledBack,
    Fault::Rebooted,
    Fault::ClientAdded,
    Fault::ClientRemoved,
    Fault::ClientChanged,
    Fault::ClientTuned,
    Fault::BudgetChanged,
    Fault::RejectedByMany,
    Fault::RejectedByMany,
    Fault::ManyNarrowings,
    Fault::Crowd,
    Fault::Crowd,
    Fault::Renewed,
];

impl Weather {
    /// A bad day.
    pub(crate) fn random(dice: &mut Dice, site: &Site) -> Self {
        let mut weather = Self::default();
        let end = TROUBLE_ENDS.as_secs();
        for _ in 0..20 {
            let fault = dice.pick(OF_TOKENS);
            let issuer = dice.index(site.issuers.len());
            let client = dice.chance(0.5).then(|| dice.index(site.clients.len()));
            let issuer = client.map_or(issuer, |client| site.clients[client].issuer);
            let length = if client.is_some() { 30 * MINUTE..4 * HOUR } else { MINUTE..HOUR / 2 };
            let chance = dice.pick(&[0.3, 0.7, 1.0]);
            weather.spell(dice, 0..end, length, issuer, client, fault, chance);
        }
        for _ in 0..dice.number(0..3) {
            let issuer = dice.index(site.issuers.len());
            weather.spell(dice, 0..end, MINUTE..2 * HOUR, issuer, None, Fault::IssuerOutage, 1.0);
        }
        for fault in [Fault::DiscoveryFails, Fault::DiscoveryMismatch] {
            if dice.chance(0.3) {
                let issuer = dice.index(site.issuers.len());
                let start = if dice.chance(0.5) { 0..1 } else { 0..end };
                weather.spell(dice, start, MINUTE..HOUR, issuer, None, fault, 0.8);
            }
        }
        for _ in 0..dice.number(0..3) {
            let from = dice.seconds(0..end);
            let to = (from + dice.seconds(10 * MINUTE..5 * HOUR)).min(TROUBLE_ENDS);
            let off = dice.number(40..900) as i64;
            let off = if dice.chance(0.5) { off } else { -off };
            weather.clocks.push((dice.index(site.issuers.len()), from, to, off));
        }
        for _ in 0..dice.number(10..18) {
            weather.incidents.push((dice.seconds(MINUTE..end - HOUR / 2), dice.pick(INCIDENTS)));
        }
        weather
    }

    /// The first issuer is out for a while, for all clients or for some of them, and nothing else happens.
    pub(crate) fn outage(from: At, length: Duration, clients: Option<usize>) -> Self {
        let spell = |client, fault| Spell { from, to: from + length, issuer: 0, client, fault, chance: 1.0 };
        let spells = match clients {
            None => vec![spell(None, Fault::IssuerOutage)],
            Some(clients) => (0..clients).map(|client| spell(Some(client), Fault::ServerError)).collect(),
        };
        Self { spells, ..Self::default() }
    }

    #[expect(clippy::too_many_arguments, reason = "a spell in one line for each kind")]
    fn spell(
        &mut self,
        dice: &mut Dice,
        start: std::ops::Range<u64>,
        length: std::ops::Range<u64>,
        issuer: usize,
        client: Option<usize>,
        fault: Fault,
        chance: f64,
    ) {
        let from = dice.seconds(start);
        let to = (from + dice.seconds(length)).min(TROUBLE_ENDS);
        self.spells.push(Spell { from, to, issuer, client, fault, chance });
    }

    /// The fault that a request meets; `client` is `None` for metadata.
    pub(crate) fn strikes(
        &self,
        dice: &mut Dice,
        at: At,
        issuer: usize,
        client: Option<usize>,
    ) -> Option<Fault> {
        let is_on = |spell: &&Spell| {
            let is_of_metadata = matches!(spell.fault, Fault::DiscoveryFails | Fault::DiscoveryMismatch);
            let reaches = match client {
                None => is_of_metadata || matches!(spell.fault, Fault::IssuerOutage | Fault::TlsFailure),
                Some(_) => !is_of_metadata,
            };
            let is_meant = spell.client.is_none() || spell.client == client;
            reaches && is_meant && spell.issuer == issuer && spell.from <= at && at < spell.to
        };
        self.spells.iter().filter(is_on).find(|spell| dice.chance(spell.chance)).map(|spell| spell.fault)
    }

    /// By how many seconds a server's clock is ahead.
    pub(crate) fn clock_of(&self, at: At, issuer: usize) -> i64 {
        let is_on =
            |(server, from, to, _): &&(usize, At, At, i64)| *server == issuer && *from <= at && at < *to;
        self.clocks.iter().find(is_on).map_or(0, |(.., off)| *off)
    }
}
