//! What happens to the host, its configuration, its credentials and its servers.

use std::time::Duration;

use tokenbroker_core::config::ClientName;
use tokenbroker_core::engine::{CredentialKind, Event, WaiterId};
use tokenbroker_core::narrowing::Narrowing;

use super::super::faults::Fault;
use super::super::oracle::Asking;
use super::super::site::{ClientPlan, Method};
use super::super::weather::TROUBLE_ENDS;
use super::{Happening, World};

impl World {
    pub(super) fn some_client(&mut self, is_meant: impl Fn(&ClientPlan) -> bool) -> Option<usize> {
        let clients: Vec<_> = self
            .site
            .clients
            .iter()
            .enumerate()
            .filter(|(_, plan)| is_meant(plan))
            .map(|(index, _)| index)
            .collect();
        (!clients.is_empty()).then(|| self.dice.pick(&clients))
    }

    pub(super) fn incident(&mut self, fault: Fault) {
        trace!(self, "incident: {fault}");
        if self.has_happened(fault).is_some() {
            self.hits.count(fault);
        }
    }

    pub(super) fn has_happened(&mut self, fault: Fault) -> Option<()> {
        let at = self.clock.at();
        let rest = TROUBLE_ENDS.saturating_sub(at).as_secs().max(120);
        match fault {
            Fault::WallClockJumpsHours | Fault::WallClockJumpsDay | Fault::WallClockJumpsYear => {
                let by = match fault {
                    Fault::WallClockJumpsHours => self.dice.number(300..18_000) as i64,
                    Fault::WallClockJumpsDay => 86_400,
                    _ => 31_536_000,
                };
                let is_ahead = self.dice.chance(0.5);
                self.set_wall_clock(if is_ahead { by } else { -by });
                let pause = self.dice.seconds(60..rest);
                self.happens_in(pause, Happening::WallClock(0));
            }
            Fault::Suspended => {
                let length = self.dice.seconds(60..rest.min(6 * 3600));
                self.clock.advance_to(at + length);
                self.oracle.deadlines_passed_unseen(self.clock.at());
                self.oracle.trouble_everybody(self.clock.at());
                self.oracle.turns_show_late(self.clock.at());
            }
            Fault::StoreLocked | Fault::StoreHangs | Fault::StoreSlow => {
                let until = at + self.dice.seconds(60..1200.min(rest));
                self.store.is_in_trouble(fault, until);
                return None; // counted when it is met
            }
            Fault::CredentialReplaced | Fault::CredentialReplacedByWrong => {
                let client = self.some_client(|plan| plan.has_credential)?;
                let is_right = fault == Fault::CredentialReplaced;
                self.new_credential(client, is_right)?;
                self.credential_stored(client);
                if !is_right {
                    let pause = self.dice.seconds(60..rest.min(3 * 3600));
                    self.happens_in(pause, Happening::Credential(client));
                }
            }
            Fault::NextCredential | Fault::WrongNextCredential => {
                let client = self.some_client(|plan| plan.has_credential)?;
                self.next_credential(client, fault == Fault::NextCredential)?;
            }
            Fault::CredentialReplacedBehind => {
                let client = self.some_client(|plan| plan.has_credential)?;
                self.new_credential(client, true);
                self.oracle.replaced_behind(client);
                self.oracle.trouble(at, client);
            }
            Fault::CredentialRemoved | Fault::CredentialRemovedBehind => {
                let client = self.some_client(|plan| plan.has_credential)?;
                let name = ClientName::new(&self.site.clients[client].name)?;
                let removed = self.store.remove(&name);
                if removed.is_empty() {
                    return None;
                }
                self.oracle.credential_is_good(client, false);
                self.oracle.trouble(at, client);
                if fault == Fault::CredentialRemoved && self.engine.is_some() {
                    self.oracle.credential_removed(at, client, removed.into_iter().map(|kept| kept.value));
                    self.credentials_changed(name);
                }
                let pause = self.dice.seconds(60..rest.min(3 * 3600));
                self.happens_in(pause, Happening::Credential(client));
            }
            Fault::Restarted => return self.stop_daemon(true).then_some(()),
            Fault::Killed => return self.stop_daemon(false).then_some(()),
            Fault::KilledAndDamaged => {
                let is_stopped = self.stop_daemon(false);
                self.kept.damage();
                return is_stopped.then_some(());
            }
            Fault::KilledAndRolledBack => {
                let is_stopped = self.stop_daemon(false);
                self.kept.roll_back();
                return is_stopped.then_some(());
            }
            Fault::Rebooted => {
                let is_stopped = self.stop_daemon(self.clock.boot.is_multiple_of(2));
                self.clock.reboot();
                return is_stopped.then_some(());
            }
            Fault::ClientAdded => {
                let client = self.some_client(|plan| !plan.is_configured)?;
                self.site.clients[client].is_configured = true;
                self.reload();
            }
            Fault::ClientRemoved => {
                let client = self.some_client(|plan| plan.is_configured)?;
                self.site.clients[client].is_configured = false;
                self.reload();
                let pause = self.dice.seconds(60..rest);
                self.happens_in(pause, Happening::Incident(Fault::ClientAdded));
            }
            Fault::ClientChanged => {
                let client = self.some_client(|plan| plan.is_configured)?;
                let scope = &mut self.site.clients[client].scope;
                if scope.len() > 2 {
                    drop(scope.pop())
                } else {
                    scope.push(format!("more.{}", scope.len()))
                }
                self.reload();
            }
            Fault::ClientTuned => {
                let client = self.some_client(|plan| plan.is_configured)?;
                self.site.clients[client].renew_at = self.dice.pick(&[0.4, 0.5, 0.7, 0.8]);
                self.reload();
            }
            Fault::BudgetChanged => {
                let issuer = self.dice.index(self.site.issuers.len());
                self.site.issuers[issuer].max_in_flight = self.dice.pick(&[1, 2, 4, 8, 16]);
                self.site.issuers[issuer].max_per_second = self.dice.pick(&[0, 2, 5, 10, 20]);
                self.reload();
            }
            Fault::RejectedByMany => {
                let client = self.some_client(|plan| plan.is_configured)?;
                for _ in 0..self.dice.number(1..6) {
                    let pause = self.dice.seconds(0..900);
                    self.happens_in(pause, Happening::Rejected(client));
                }
                return None; // counted when there is something to reject
            }
            Fault::ManyNarrowings => {
                let client = self.some_client(|plan| plan.is_configured && plan.scope.len() >= 7)?;
                for _ in 0..100 {
                    let pause = self.dice.seconds(0..300);
                    self.happens_in(pause, Happening::Narrowed(client));
                }
            }
            Fault::Crowd => {
                let client = self.some_client(|plan| plan.is_configured)?;
                for _ in 0..self.dice.number(30..150) {
                    let wait = self.dice.millis(0..20_000);
                    self.get(client, Narrowing::default(), Duration::ZERO, wait);
                }
            }
            Fault::Renewed => {
                let client = self.some_client(|plan| plan.is_configured)?;
                let name = ClientName::new(&self.site.clients[client].name)?;
                self.engine.as_ref()?;
                let key = self.oracle.key_of(client, &Narrowing::default());
                self.sequence += 1;
                let deadline = at + Duration::from_secs(10);
                self.oracle.renewed(client);
                self.oracle.asked(at, self.sequence, client, key, Asking::Renewal, deadline);
                let (waiter, deadline) = (WaiterId(self.sequence), self.clock.moment(deadline));
                self.tell(Event::Renew { waiter, client: name, deadline });
            }
            _ => return None,
        }
        Some(())
    }

    pub(super) fn set_wall_clock(&mut self, error: i64) {
        self.clock.set_wall(error);
        self.oracle.wall_clock_set(self.clock.at());
        self.tell(Event::WallClockSet);
    }

    /// Puts a credential into the key store: one that the server was told of, or not.
    pub(super) fn new_credential(&mut self, client: usize, is_right: bool) -> Option<()> {
        let (name, kind, value, is_good) = self.make_credential(client, is_right)?;
        self.site.clients[client].has_credential = true;
        self.store.set(&name, kind, value);
        self.oracle.credential_is_good(client, is_good);
        self.oracle.next_is(client, None);
        Some(())
    }

    /// Puts a credential into the key store beside the one that is there, through the broker.
    fn next_credential(&mut self, client: usize, is_right: bool) -> Option<()> {
        let (name, kind, value, is_good) = self.make_credential(client, is_right)?;
        let replaced = self.store.next_of(&name).is_some();
        self.store.set_next(&name, kind, value.clone())?;
        let at = self.clock.at();
        self.oracle.trouble(at, client);
        if self.engine.is_some() && (replaced || self.oracle.is_in_doubt(client)) {
            // What is under way with the one before says nothing any more, and what is refused is tried at once.
            self.oracle.client_changed(at, client);
        }
        if is_good {
            self.oracle.credential_is_good(client, true);
        }
        self.oracle.next_is(client, Some(value));
        if self.engine.is_some() {
            self.credentials_changed(name);
        }
        Some(())
    }

    fn make_credential(
        &mut self,
        client: usize,
        is_right: bool,
    ) -> Option<(ClientName, CredentialKind, String, bool)> {
        let plan = &self.site.clients[client];
        self.last_credential += 1;
        let value = format!("credential {}: ü+&%", self.last_credential);
        let server = &mut self.servers[plan.issuer];
        if is_right {
            server.accept(&plan.client_id, &value);
        }
        let kind = match plan.method {
            Method::Assertion => CredentialKind::PrivateKey,
            Method::Basic | Method::Post => CredentialKind::Secret,
        };
        let is_good = server.accepts(&plan.client_id, &value);
        Some((ClientName::new(&plan.name)?, kind, value, is_good))
    }

    pub(super) fn credential_stored(&mut self, client: usize) {
        self.oracle.trouble(self.clock.at(), client);
        let Some(name) = ClientName::new(&self.site.clients[client].name) else { return };
        if self.engine.is_none() {
            return;
        }
        trace!(self, "a credential is stored for {name}");
        self.oracle.credential_stored(self.clock.at(), client);
        self.credentials_changed(name);
    }

    /// Tells the engine what there is now.
    fn credentials_changed(&mut self, client: ClientName) {
        let (current, next) = self.store.stored(&client);
        self.tell(Event::CredentialsChanged { client, current, next });
    }
}
