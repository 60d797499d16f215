//! What can go wrong, and how often it did.

use std::fmt;

macro_rules! faults {
    ($($(#[doc = $words:literal])+ $name:ident,)+) => {
        /// A kind of fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $($(#[doc = $words])+ $name,)+
        }

        impl Fault {
            /// All there are.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// What it is, in words.
            pub fn words(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($words),+).trim_ascii(),)+
                }
            }
        }
    };
}

faults! {
    /// the connection is refused
    ConnectionRefused,
    /// the connection is reset before the request was processed
    ResetBefore,
    /// the connection is reset after the request was processed
    ResetAfter,
    /// the server hangs before the headers
    HangBeforeHeaders,
    /// the server hangs inside the body
    HangInBody,
    /// the reply comes late
    SlowReply,
    /// the reply takes longer than the token in it lives
    SlowerThanItsToken,
    /// the TLS handshake fails
    TlsFailure,
    /// the name can't be resolved
    DnsFailure,
    /// the body is over the limit
    BodyOverLimit,
    /// all of an issuer is unreachable
    IssuerOutage,

    /// 500
    Status500,
    /// 502 with a web page
    Status502Html,
    /// 503 with Retry-After in seconds
    Status503Seconds,
    /// 503 with Retry-After as a date
    Status503Date,
    /// 429 with an absurd Retry-After
    Status429Absurd,
    /// 408
    Status408,
    /// 425
    Status425,
    /// 200 with an error in the body
    OkWithError,
    /// 200 with a web page
    OkWithHtml,
    /// a redirect
    Redirect,
    /// 403 with an empty body
    Empty403,
    /// 401 with a gateway's web page
    Gateway401,

    /// the server forgets a registration for a while
    InvalidClient,
    /// `invalid_scope`
    InvalidScope,
    /// `invalid_target`
    InvalidTarget,
    /// `unauthorized_client`
    UnauthorizedClient,
    /// `server_error`
    ServerError,
    /// `temporarily_unavailable`
    TemporarilyUnavailable,
    /// `use_dpop_nonce`
    UseDpopNonce,
    /// an error code that no RFC knows
    UnknownError,

    /// no `expires_in`
    NoLifetime,
    /// `expires_in` is zero
    ZeroLifetime,
    /// `expires_in` is negative
    NegativeLifetime,
    /// `expires_in` is a string
    TextLifetime,
    /// `expires_in` is longer than any token lives
    HugeLifetime,
    /// `expires_in` has a fraction
    FractionalLifetime,
    /// the token lives for seconds
    TinyLifetime,
    /// the same token is issued again
    Reissued,
    /// the token has a line break in it
    LineBreakInToken,
    /// the token type is another
    WrongTokenType,
    /// a JSON key comes twice
    DuplicateKey,
    /// the scope is narrower than asked
    NarrowerScope,
    /// the scope is wider than asked
    WiderScope,

    /// discovery fails
    DiscoveryFails,
    /// discovery gives another issuer
    DiscoveryMismatch,

    /// the server's clock is minutes off
    ServerClockOff,
    /// the wall clock jumps by hours
    WallClockJumpsHours,
    /// the wall clock jumps by a day
    WallClockJumpsDay,
    /// the wall clock jumps by a year
    WallClockJumpsYear,
    /// the host is suspended
    Suspended,

    /// the key store is locked
    StoreLocked,
    /// the key store hangs
    StoreHangs,
    /// the key store is slow
    StoreSlow,
    /// a credential is replaced through the broker
    CredentialReplaced,
    /// a credential is replaced by a wrong one
    CredentialReplacedByWrong,
    /// a next credential is stored through the broker
    NextCredential,
    /// a next credential is stored that the server does not take
    WrongNextCredential,
    /// a credential is replaced behind the broker's back
    CredentialReplacedBehind,
    /// a credential is removed through the broker
    CredentialRemoved,
    /// a credential is removed behind the broker's back
    CredentialRemovedBehind,

    /// the daemon is stopped and started again
    Restarted,
    /// the daemon is killed and started again
    Killed,
    /// the daemon is killed, and what it kept is damaged
    KilledAndDamaged,
    /// the daemon is killed, and what it kept is rolled back
    KilledAndRolledBack,
    /// the host starts anew
    Rebooted,
    /// what was kept is read late
    KeptReadLate,
    /// clients are added to the configuration
    ClientAdded,
    /// clients are removed from the configuration
    ClientRemoved,
    /// a client's token is another by configuration
    ClientChanged,
    /// a client's renewal is configured anew
    ClientTuned,
    /// an issuer's budget changes
    BudgetChanged,

    /// a caller leaves
    CallerLeaves,
    /// a caller wants nearly all of the lifetime
    NearlyAllTheLifetime,
    /// a caller wants more than the lifetime
    MoreThanTheLifetime,
    /// many callers report the same token as refused
    RejectedByMany,
    /// more narrower tokens are asked for than are held
    ManyNarrowings,
    /// a crowd of callers comes at once
    Crowd,
    /// an administrator renews
    Renewed,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// How often each kind of fault took effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hits(Vec<u64>);

impl Default for Hits {
    fn default() -> Self {
        Self(vec![0; Fault::ALL.len()])
    }
}

impl Hits {
    pub(crate) fn count(&mut self, fault: Fault) {
        self.0[fault as usize] += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(sum, count)| *sum += count);
    }

    /// How often a fault took effect.
    pub fn of(&self, fault: Fault) -> u64 {
        self.0[fault as usize]
    }

    /// The faults that never did.
    pub fn never(&self) -> Vec<Fault> {
        Fault::ALL.iter().copied().filter(|fault| self.of(*fault) == 0).collect()
    }
}
