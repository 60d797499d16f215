//! The whole host: what the daemon was started with, what it stores, and every client in one line.

use std::fmt::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{Access, access, statvfs};
use tokenbroker_core::config::{ClientName, Config, Memory};
use tokenbroker_core::engine::{ClientStatus, State};
use tokenbroker_ipc::check_units;
use tokenbroker_keystore::{CredentialKind, Standing, StoreKind, Stored};
use tokenbroker_protocol::{Check, Verdict};
use tokenbroker_secret::locked;
use tokio::sync::oneshot;

use super::Report;
use crate::audit::{self, Place};
use crate::clock;
use crate::convert;
use crate::key_store::QUICK;
use crate::memory;
use crate::shared::{Ask, Report as Of, Shared};
use crate::unit_rules::{self, Warning};

/// Less is about to be too little for what outlives the daemon.
const LITTLE_SPACE: u64 = 16 * 1024 * 1024;

/// Of so many bytes the lines about clients are at most: all has to fit into one frame.
const MOST_OF_CLIENTS: usize = 40 * 1024;

/// How many clients the event loop is asked about at a time: it has other things to do in between.
const AT_A_TIME: usize = 200;

/// How long files are waited for.
const PATIENCE: Duration = Duration::from_secs(10);

const DAY: u64 = 24 * 3600;

/// When it is said that something expires.
const NOTICE: u64 = 30 * DAY;

pub(super) async fn run(shared: Arc<Shared>) -> Vec<Check> {
    let mut report = Report::default();
    versions(&mut report, &shared);
    configuration(&mut report, &shared).await;
    for (subject, socket) in [("socket", &shared.host.socket), ("http socket", &shared.host.http_socket)] {
        if let Some(path) = socket {
            self::socket(&mut report, subject, path, shared.host.is_passed);
        }
    }
    state_directory(&mut report, &shared.host.state_dir);
    service(&mut report);
    units(&mut report, &shared.config.load());
    self::audit(&mut report, &shared.audit.state());
    memory(&mut report, shared.config.load().daemon.memory, shared.host.is_system);
    key_store(&mut report, &shared).await;
    clients(&mut report, &shared).await;
    report.0
}

fn versions(report: &mut Report, shared: &Shared) {
    let up = clock::moment().since(shared.host.started).as_secs();
    let whose = if shared.host.is_system { "the host's" } else { "a user's" };
    let finding = format!(
        "tokenbrokerd {}, {whose} broker, running as uid {} for {} min",
        env!("CARGO_PKG_VERSION"),
        rustix::process::geteuid().as_raw(),
        up / 60
    );
    report.good("daemon", finding);
}

async fn configuration(report: &mut Report, shared: &Arc<Shared>) {
    let files = shared.host.files.clone();
    let read = tokio::task::spawn_blocking(move || files.read());
    let Ok(read) = tokio::time::timeout(PATIENCE, read).await else {
        let finding = "the files, or one that they name, can't be read in time: a file system hangs";
        return report.bad("configuration", finding, Some("see what is mounted where they are".into()));
    };
    let in_force = shared.config.load();
    match read {
        Ok(Ok(config)) if config == **in_force => {
            let clients = counted(config.clients.len(), "client");
            let issuers = counted(config.issuers.len(), "issuer");
            report.good("configuration", format!("valid and in force: {clients} at {issuers}"));
        }
        Ok(Ok(config)) => match in_force.restart_needed(&config).as_slice() {
            [] => report.warn(
                "configuration",
                "the files, or certificates that they name, changed since they were read",
                "make that count: tokenbroker reload",
            ),
            keys => report.warn(
                "configuration",
                format!("the files changed since they were read, {} too", keys.join(", ")),
                "that takes a restart: systemctl restart tokenbrokerd",
            ),
        },
        Ok(Err(refused)) => report.bad(
            "configuration",
            format!("what the files say now would be refused, and what was read before counts: {refused}"),
            Some("correct it, then: tokenbroker reload".into()),
        ),
        Err(_) => report.bad("configuration", "reading it panicked; this is a fault of tokenbrokerd", None),
    }
}

fn socket(report: &mut Report, subject: &str, path: &Path, is_passed: bool) {
    let shown = path.display();
    let remedy = match is_passed {
        true => "systemctl restart tokenbrokerd.socket",
        false => "restart the daemon",
    };
    let metadata = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => {
            let finding = format!("no caller can find it at {shown}: {error}");
            return report.bad(subject, finding, Some(remedy.into()));
        }
    };
    if !metadata.file_type().is_socket() {
        return report.bad(subject, format!("{shown} is no socket any more"), Some(remedy.into()));
    }
    let directory = path.parent().and_then(|parent| std::fs::metadata(parent).ok());
    if directory.is_some_and(|directory| directory.mode() & 0o022 != 0) {
        let directory = path.parent().unwrap_or(path).display();
        let finding = format!("others may write into {directory}, and put a socket of theirs in its place");
        return report.bad(subject, finding, Some(format!("chmod go-w {directory}")));
    }
    let (mode, uid) = (metadata.mode() & 0o777, metadata.uid());
    let by = if is_passed { "passed by systemd" } else { "made by the daemon" };
    report.good(subject, format!("{shown}, {by}, mode {mode:04o}, of uid {uid}"));
}

fn state_directory(report: &mut Report, path: &Path) {
    let shown = path.display();
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => {
            let remedy = "mount or restore it, then restart the daemon".into();
            return report.bad("state", format!("{shown} is not there: {error}"), Some(remedy));
        }
    };
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        let finding = format!("{shown} is open to others (mode {mode:04o})");
        return report.bad("state", finding, Some(format!("chmod 0700 {shown}")));
    }
    if access(path, Access::WRITE_OK).is_err() {
        let remedy = "see whether it is mounted read-only, and whose it is".into();
        return report.bad("state", format!("{shown} can't be written to"), Some(remedy));
    }
    match statvfs(path) {
        Ok(space) if space.f_bavail.saturating_mul(space.f_frsize) < LITTLE_SPACE => {
            let left = space.f_bavail.saturating_mul(space.f_frsize) / 1024;
            let finding = format!("{shown} has {left} KiB left on its disk");
            report.warn("state", finding, "make room: what is stored anew is written whole, beside the old");
        }
        _ => report.good("state", format!("{shown}, mode {mode:04o}")),
    }
}

fn service(report: &mut Report) {
    if std::env::var_os("INVOCATION_ID").is_none() {
        let remedy = "let systemd run it: systemctl enable --now tokenbrokerd.socket";
        return report.warn(
            "service",
            "no service manager started the daemon, and none starts it again",
            remedy,
        );
    }
    let passes = match std::env::var_os("CREDENTIALS_DIRECTORY") {
        Some(_) => ", which passes credentials to it",
        None => "",
    };
    report.good("service", format!("started by systemd{passes}"));
}

/// Whether rules with units can hold here, even if there is none yet.
fn units(report: &mut Report, config: &Config) {
    for Warning { finding, remedy } in unit_rules::warnings(config) {
        report.warn("units", finding, remedy);
    }
    if check_units().is_ok() {
        report.good("units", "callers are pinned, and rules with `unit` can hold");
    }
}

fn audit(report: &mut Report, state: &audit::State) {
    let place = match &state.place {
        Place::Journal => "to the journal",
        Place::File(path) => path,
        Place::Off => return report.good("audit", "off: nothing is written down of who gets what"),
    };
    let counts = format!("{} records written, {} lost", state.written, state.dropped);
    match &state.trouble {
        Some(trouble) => {
            let remedy = "make room, or start it; or set audit of [daemon] to something else, then: tokenbroker reload";
            report.warn("audit", format!("{place}: {counts}; it can't be written now: {trouble}"), remedy);
        }
        None if state.dropped > 0 => {
            let remedy = "see what was too slow or full; `dropped` in the audit says when";
            report.warn("audit", format!("{place}: {counts}"), remedy);
        }
        None => report.good("audit", format!("{place}: {counts}")),
    }
}

fn memory(report: &mut Report, wanted: Memory, is_system: bool) {
    let Some(usage) = locked::usage() else {
        return match wanted {
            Memory::Off => report.good("memory", "not locked, as configured: secrets may be swapped to disk"),
            _ => report.warn(
                "memory",
                "none can be locked: secrets may be swapped to disk",
                memory::how_to_allow(is_system),
            ),
        };
    };
    let kib = |bytes: usize| bytes.div_ceil(1024);
    let finding = format!(
        "{} KiB locked by {}, {} KiB of it hold secrets",
        kib(usage.size),
        usage.backing,
        kib(usage.held)
    );
    if usage.spilled == 0 {
        return report.good("memory", finding);
    }
    let finding = format!("{finding}; {} KiB found no room, and may be swapped to disk", kib(usage.spilled));
    report.warn("memory", finding, memory::how_to_allow(is_system));
}

async fn key_store(report: &mut Report, shared: &Shared) {
    let looked = shared.key_store.call(QUICK, |store| Ok((store.kind(), store.notes(), store.list(None)?)));
    let (kind, notes, stored) = match looked.await {
        Ok(found) => found,
        Err(error) => return report.bad("key store", error.to_string(), error.hint()),
    };
    let kind = kind.map_or("not decided yet", StoreKind::name);
    let count = stored.iter().filter(|stored| stored.standing != Standing::Previous).count();
    report.good("key store", format!("{kind}, which answers; {}", counted(count, "credential")));
    // The first is about what it protects against, the others about what can't be read.
    for (place, note) in notes.into_iter().enumerate() {
        match place {
            0 => report.good("key store", note),
            _ => {
                report.warn("key store", note, "run the version that wrote it, or set that credential again")
            }
        }
    }
    let config = shared.config.load();
    let mut strangers: Vec<_> = stored
        .iter()
        .map(|stored| stored.client.as_str())
        .filter(|name| !config.clients.contains_key(*name))
        .collect();
    strangers.dedup();
    if !strangers.is_empty() {
        let finding =
            format!("there are credentials of clients that are not configured: {}", some_of(&strangers));
        report.warn("key store", finding, "configure them, or: tokenbroker secret remove CLIENT");
    }
    for (kind, what, remedy) in [
        (
            CredentialKind::PrivateKey,
            "keys",
            "tokenbroker key list CLIENT, tokenbroker key retire CLIENT --kid KID",
        ),
        (
            CredentialKind::Secret,
            "secrets",
            "where systemd passes another: tokenbroker secret remove CLIENT; elsewhere, set the one in use again",
        ),
    ] {
        let is_unused = |stored: &&Stored| stored.standing == Standing::Previous && stored.kind == kind;
        let mut unused: Vec<_> =
            stored.iter().filter(is_unused).map(|stored| stored.client.as_str()).collect();
        unused.dedup();
        if !unused.is_empty() {
            let finding = format!("there are {what} that are not used any more: of {}", some_of(&unused));
            report.warn("key store", finding, remedy);
        }
    }
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn some_of(names: &[&str]) -> String {
    const MOST: usize = 10;
    let mut text = names.iter().take(MOST).copied().collect::<Vec<_>>().join(", ");
    if names.len() > MOST {
        let _never_fails = write!(text, " and {} more", names.len() - MOST);
    }
    text
}

/// Those with trouble first.
async fn clients(report: &mut Report, shared: &Shared) {
    let clients: Vec<ClientName> = shared.config.load().clients.keys().cloned().collect();
    let mut checks = Vec::with_capacity(clients.len());
    for clients in clients.chunks(AT_A_TIME) {
        let (reply, reports) = oneshot::channel();
        let ask = Ask::Status { clients: clients.to_vec(), explain: false, reply };
        let reports = match shared.event_loop.send(ask) {
            Ok(()) => reports.await.ok(),
            Err(_) => None,
        };
        let Some(reports) = reports else { return report.bad("clients", "the daemon shuts down", None) };
        checks.extend(reports.into_iter().map(|Of { status, .. }| of_client(&status)));
    }
    checks.sort_by_key(|check| std::cmp::Reverse(check.verdict));
    let length = |check: &Check| check.finding.len() + check.remedy.as_ref().map_or(0, String::len) + 64;
    let mut left = MOST_OF_CLIENTS;
    let mut untold = 0_usize;
    for check in checks {
        match left.checked_sub(length(&check)) {
            Some(less) => {
                left = less;
                report.0.push(check);
            }
            None => untold += 1,
        }
    }
    if untold > 0 {
        report.good("clients", format!("{untold} more, in no worse state: tokenbroker status"));
    }
}

fn of_client(status: &ClientStatus) -> Check {
    let verdict = match status.state {
        State::Warm => Verdict::Good,
        State::Pending | State::Degraded => Verdict::Warning,
        State::Unavailable | State::Blocked => Verdict::Bad,
    };
    let mut finding = convert::state_name(status.state).to_owned();
    if let Some(left) = status.expires_in {
        let _never_fails = write!(finding, ", for {}", minutes(left));
    }
    let (mut verdict, mut remedy) = (verdict, None);
    if let Some(failure) = &status.last_failure {
        let _never_fails = write!(finding, "; {}", failure.message);
        remedy = failure.hint.clone().or_else(|| Some(format!("tokenbroker test {}", status.client)));
    }
    if let Some(credential) = &status.credential {
        let store = credential.store.name();
        let _never_fails =
            write!(finding, "; its credential is in the {store}, version {}", credential.version);
        let now = clock::since_epoch().as_secs();
        if let Some(at) = credential.expires.filter(|at| *at < now + NOTICE) {
            let words = match at.checked_sub(now) {
                Some(left) => format!("; its secret expires in {} days", left / DAY),
                None => "; its secret has expired".into(),
            };
            finding.push_str(&words);
            verdict = verdict.max(Verdict::Warning);
            remedy.get_or_insert_with(|| {
                format!("have another one issued: tokenbroker secret set {} --next", status.client)
            });
        }
    }
    let now = i64::try_from(clock::since_epoch().as_secs()).unwrap_or(i64::MAX);
    if let Some(left) = status.certificate_expires.map(|at| at - now).filter(|left| *left < NOTICE as i64) {
        let words = match left {
            0.. => format!("; its certificate expires in {} days", left / DAY as i64),
            _ => "; its certificate has expired".into(),
        };
        finding.push_str(&words);
        verdict = verdict.max(Verdict::Warning);
        remedy.get_or_insert_with(|| "have it renewed, put it in its place, then: tokenbroker reload".into());
    }
    if let Some(refused) = status.next_credential.as_ref().and_then(|next| next.refused.as_ref()) {
        let _never_fails = write!(finding, "; its next credential was refused: {}", refused.message);
        verdict = verdict.max(Verdict::Warning);
        remedy.get_or_insert_with(|| format!("tokenbroker secret remove {} --next", status.client));
    }
    Check { subject: status.client.to_string(), verdict, finding, remedy }
}

fn minutes(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds => format!("{} min", seconds / 60),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn verdicts(look: impl FnOnce(&mut Report)) -> Vec<(Verdict, String)> {
        let mut report = Report::default();
        look(&mut report);
        report.0.into_iter().map(|check| (check.verdict, check.finding)).collect()
    }

    #[test]
    fn a_socket_that_callers_can_not_find_or_trust_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("broker.sock");
        let look = || verdicts(|report| socket(report, "socket", &path, false));
        assert!(
            matches!(&look()[..], [(Verdict::Bad, finding)] if finding.contains("no caller can find it"))
        );
        std::fs::write(&path, "").unwrap();
        assert!(matches!(&look()[..], [(Verdict::Bad, finding)] if finding.contains("no socket any more")));
        std::fs::remove_file(&path).unwrap();
        let _listener = UnixListener::bind(&path).unwrap();
        assert!(matches!(&look()[..], [(Verdict::Good, _)]));
        std::fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();
        assert!(
            matches!(&look()[..], [(Verdict::Bad, finding)] if finding.contains("put a socket of theirs"))
        );
    }

    #[test]
    fn a_state_directory_that_is_open_or_gone_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let look = |path: &Path| verdicts(|report| state_directory(report, path));
        std::fs::set_permissions(directory.path(), Permissions::from_mode(0o700)).unwrap();
        assert!(matches!(&look(directory.path())[..], [(Verdict::Good, _)]), "{:?}", look(directory.path()));
        std::fs::set_permissions(directory.path(), Permissions::from_mode(0o750)).unwrap();
        assert!(matches!(&look(directory.path())[..], [(Verdict::Bad, finding)] if finding.contains("0750")));
        let gone = directory.path().join("gone");
        assert!(matches!(&look(&gone)[..], [(Verdict::Bad, finding)] if finding.contains("is not there")));
    }

    #[test]
    fn long_lists_of_names_are_cut() {
        assert_eq!(some_of(&["a", "b"]), "a, b");
        assert!(some_of(&["x"; 12]).ends_with("x and 2 more"));
    }
}
