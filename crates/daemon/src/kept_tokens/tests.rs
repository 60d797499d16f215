use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use tempfile::TempDir;
use tokenbroker_core::config::ClientName;
use tokenbroker_core::narrowing::Narrowing;
use tokenbroker_core::time::Moment;
use tokenbroker_keystore::{KeyStore, Options, StoreChoice};
use tokenbroker_oauth::{AccessToken, Scope};

use super::*;

const CANARY: &str = "c4n4ry-of-a-token";

struct Fixture {
    directory: TempDir,
    _keys: TempDir,
    file: TokenFile,
    key: SealingKey,
}

impl Fixture {
    fn new() -> Self {
        let (directory, keys) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (file, key) = (TokenFile::new(directory.path()), key(keys.path()));
        Self { directory, _keys: keys, file, key }
    }

    fn written() -> Self {
        let fixture = Self::new();
        fixture.write(vec![token("app")], &at(100));
        fixture
    }

    #[track_caller]
    fn write(&self, tokens: Vec<KeptToken>, now: &Reading) {
        assert_eq!(self.file.write(&self.key, tokens.into_iter(), now).unwrap(), 0);
    }

    fn read(&self, now: &Reading) -> Result<Vec<KeptToken>, Miss> {
        self.file.read(Some(&self.key), now)
    }

    #[track_caller]
    fn miss(&self) -> Miss {
        self.read(&at(100)).unwrap_err()
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(self.file.path()).unwrap()
    }

    /// Into the very same file.
    fn overwrite(&self, bytes: &[u8]) {
        OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(self.file.path())
            .unwrap()
            .write_all(bytes)
            .unwrap();
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn key(directory: &Path) -> SealingKey {
    let options =
        Options { choice: StoreChoice::EncryptedFile, state_dir: directory.to_owned(), ..Options::default() };
    KeyStore::open(options).unwrap().sealing_key_or_new().unwrap().unwrap()
}

/// Seconds after the start of the host, which was 1,000,000 seconds into 1970.
fn at(seconds: u64) -> Reading {
    Reading {
        boot: Moment::BOOT.after(Duration::from_secs(seconds)),
        wall: Duration::from_secs(1_000_000 + seconds),
        boot_id: Some([1; 16]),
    }
}

/// After another start of the host: these clocks don't fit the others.
fn after_reboot(since_boot: u64, wall: u64) -> Reading {
    let boot = Moment::BOOT.after(Duration::from_secs(since_boot));
    Reading { boot, wall: Duration::from_secs(1_000_000 + wall), boot_id: Some([2; 16]) }
}

/// One that expires an hour after 100 s.
fn token(client: &str) -> KeptToken {
    KeptToken {
        client: ClientName::new(client).unwrap(),
        binding: "client_id=app auth=client_secret_basic".into(),
        credential: "0123456789abcdef".into(),
        narrowing: Narrowing::default(),
        access_token: AccessToken::parse(CANARY.into()).unwrap(),
        scope: Some("read write".into()),
        expires: at(3700).boot,
        lifetime: Duration::from_secs(3600),
        same_boot: true,
    }
}

/// As they are written at 100 s.
fn contents(tokens: &[KeptToken]) -> Secret {
    Contents::encode(tokens.iter().cloned(), &at(100), MAX_LENGTH).unwrap().0
}

fn narrowed(client: &str) -> KeptToken {
    let narrowing = Narrowing {
        scope: Some(Scope::parse("read").unwrap()),
        resource: ["https://a.example/".to_owned(), "https://b.example/".to_owned()].into(),
        audience: Some("audience".into()),
    };
    KeptToken { narrowing, scope: None, ..token(client) }
}

#[test]
fn s70_tokens_come_out_as_they_went_in() {
    let fixture = Fixture::new();
    let tokens = vec![token("app"), token("zwei"), narrowed("app")];
    fixture.write(tokens.clone(), &at(100));
    assert_eq!(fixture.read(&at(200)).unwrap(), tokens);
    assert_eq!(fixture.names(), ["tokens-1"]);
    assert_eq!(fs::metadata(fixture.file.path()).unwrap().mode() & 0o777, 0o600);

    fixture.write(vec![token("drei")], &at(300));
    assert_eq!(fixture.read(&at(300)).unwrap(), [token("drei")]);
    assert!(fixture.file.remove().unwrap());
    assert!(matches!(fixture.miss(), Miss::Absent));
    assert!(!fixture.file.remove().unwrap());
    assert_eq!(fixture.names(), [""; 0]);
}

#[test]
fn s57_no_token_is_readable_in_the_file_or_printed() {
    let fixture = Fixture::written();
    for clear in [CANARY, "app", "0123456789abcdef"] {
        assert!(!fixture.bytes().windows(clear.len()).any(|window| window == clear.as_bytes()), "{clear}");
    }
    let printed = format!("{:?} {:?}", fixture.read(&at(100)), contents(&[token("app")]));
    assert!(printed.contains("[redacted]") && !printed.contains(CANARY), "{printed}");
}

#[test]
fn s63_every_changed_byte_is_a_miss() {
    let fixture = Fixture::written();
    let whole = fixture.bytes();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fixture.overwrite(&changed);
        let miss = fixture.miss();
        let expected = match at {
            0..8 => matches!(miss, Miss::Foreign),
            8 => matches!(miss, Miss::Foreign), // format 0
            9 => matches!(miss, Miss::Newer { format: 257 }),
            10..18 => matches!(miss, Miss::AnotherKey),
            _ => matches!(miss, Miss::Damaged),
        };
        assert!(expected, "byte {at}: {miss:?}");
    }
    fixture.overwrite(&whole);
    assert_eq!(fixture.read(&at(100)).unwrap(), [token("app")], "the file itself was not the matter");
}

#[test]
fn s63_every_truncation_and_a_longer_file_are_misses() {
    let fixture = Fixture::written();
    let mut whole = fixture.bytes();
    for length in 0..whole.len() {
        fixture.overwrite(&whole[..length]);
        assert!(matches!(fixture.miss(), Miss::Foreign | Miss::Damaged), "{length} bytes");
    }
    whole.push(0);
    fixture.overwrite(&whole);
    assert!(matches!(fixture.miss(), Miss::Damaged));
}

#[test]
fn s63_an_older_file_that_is_put_back_is_a_miss() {
    let fixture = Fixture::written();
    let (path, backup) = (fixture.file.path().to_owned(), fixture.directory.path().join("backup"));
    fs::copy(&path, &backup).unwrap();
    fixture.write(vec![token("newer")], &at(200));

    fs::rename(&backup, &path).unwrap();
    assert!(matches!(fixture.miss(), Miss::Damaged));
    // The same content in a file that is born now, maybe with the same inode.
    let content = fixture.bytes();
    fs::remove_file(&path).unwrap();
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(fixture.miss(), Miss::Damaged));

    fixture.write(vec![token("newest")], &at(300));
    assert_eq!(fixture.read(&at(300)).unwrap(), [token("newest")]);
}

#[test]
fn s63_the_file_of_another_key_store_is_a_miss() {
    let (fixture, another) = (Fixture::written(), Fixture::new());
    assert!(matches!(another.file.read(Some(&another.key), &at(100)), Err(Miss::Absent)));
    assert!(matches!(fixture.file.read(Some(&another.key), &at(100)), Err(Miss::AnotherKey)));
    assert!(matches!(fixture.file.read(None, &at(100)), Err(Miss::NoKey)));
}

#[test]
fn s63_what_is_not_a_private_file_of_ours_is_not_read() {
    let fixture = Fixture::written();
    let path = fixture.file.path();
    for mode in [0o640, 0o604, 0o620, 0o602] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        assert!(matches!(fixture.miss(), Miss::NotOurs(why) if why.contains("others may read")), "{mode:o}");
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();

    let elsewhere = fixture.directory.path().join("elsewhere");
    fs::rename(path, &elsewhere).unwrap();
    symlink(&elsewhere, path).unwrap();
    assert!(matches!(fixture.miss(), Miss::NotOurs(why) if why.contains("symbolic link")));
    let target = fs::read(&elsewhere).unwrap();
    fixture.write(vec![token("new")], &at(100));
    assert_eq!(fs::read(&elsewhere).unwrap(), target, "nothing is written through a link");
    assert_eq!(fixture.read(&at(100)).unwrap(), [token("new")]);

    fs::remove_file(path).unwrap();
    fs::create_dir(path).unwrap();
    assert!(matches!(fixture.miss(), Miss::NotOurs(why) if why.contains("not a regular file")));
    assert!(matches!(
        fixture.file.write(&fixture.key, [token("new")].into_iter(), &at(100)),
        Err(NotWritten::Io(_))
    ));
    fs::remove_dir(path).unwrap();

    let long = File::create_new(path).unwrap();
    long.set_permissions(fs::Permissions::from_mode(0o600)).unwrap();
    long.set_len(MAX_LENGTH as u64 + 1).unwrap();
    assert!(matches!(fixture.miss(), Miss::NotOurs(why) if why.contains("too long")));
}

#[test]
fn s63_a_pipe_in_its_place_is_not_waited_for() {
    let fixture = Fixture::new();
    rustix::fs::mknodat(CWD, fixture.file.path(), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert!(matches!(fixture.miss(), Miss::NotOurs(why) if why.contains("not a regular file")));
    fixture.write(vec![token("app")], &at(100));
    assert_eq!(fixture.read(&at(100)).unwrap(), [token("app")]);
}

#[test]
fn s71_a_newer_version_s_file_is_neither_read_nor_written_over_nor_removed() {
    let fixture = Fixture::written();
    let mut newer = fixture.bytes();
    newer[8] = 3;
    fixture.overwrite(&newer);
    assert!(matches!(fixture.miss(), Miss::Newer { format: 3 }));
    fixture.file.remove().unwrap();
    assert_eq!(fixture.bytes(), newer);

    fixture.write(vec![token("app")], &at(100));
    assert_eq!(fs::read(fixture.directory.path().join("tokens-3")).unwrap(), newer);
    assert_eq!(fixture.read(&at(100)).unwrap(), [token("app")]);

    // With another one under that name already, neither gives way.
    fixture.overwrite(&newer);
    let refused = fixture.file.write(&fixture.key, [token("app")].into_iter(), &at(100)).unwrap_err();
    assert!(
        matches!(&refused, NotWritten::NewerInTheWay { to, .. } if to.ends_with("/tokens-3")),
        "{refused:?}"
    );
    assert_eq!(fixture.bytes(), newer);
    assert_eq!(fixture.names(), ["tokens-1", "tokens-3"]);
}

#[test]
fn s60_a_leftover_of_a_crash_goes_with_the_next_write_or_removal() {
    let fixture = Fixture::written();
    let leftover = fixture.directory.path().join("tokens-1.tmp");
    fs::write(&leftover, b"half a fi").unwrap();
    assert_eq!(fixture.read(&at(100)).unwrap(), [token("app")]);
    fixture.write(vec![token("app")], &at(100));
    assert_eq!(fixture.names(), ["tokens-1"]);

    fs::write(&leftover, b"half a fi").unwrap();
    fixture.file.remove().unwrap();
    assert_eq!(fixture.names(), [""; 0]);
}

#[test]
fn s62_a_file_that_can_not_be_written_leaves_nothing_behind() {
    let fixture = Fixture::written();
    let missing = TokenFile::new(&fixture.directory.path().join("missing"));
    assert!(matches!(
        missing.write(&fixture.key, [token("app")].into_iter(), &at(100)),
        Err(NotWritten::Io(_))
    ));
    // /dev/full is a full disk as a file, but not one that can be renamed over; a directory in the way of the
    // temporary file fails before anything is written, and the file stays as it was.
    fs::create_dir(fixture.directory.path().join("tokens-1.tmp")).unwrap();
    let refused = fixture.file.write(&fixture.key, [token("newer")].into_iter(), &at(200));
    assert!(matches!(refused, Err(NotWritten::Io(_))), "{refused:?}");
    assert_eq!(fixture.read(&at(200)).unwrap(), [token("app")]);
}

#[test]
fn s48_lifetimes_count_since_boot_and_expired_tokens_are_left_out() {
    let fixture = Fixture::new();
    let long = KeptToken { expires: at(10_000).boot, ..token("long") };
    fixture.write(vec![token("app"), long.clone()], &at(100));
    assert_eq!(fixture.read(&at(3699)).unwrap().len(), 2);
    assert_eq!(fixture.read(&at(3700)).unwrap(), [long]);
    assert_eq!(fixture.read(&at(10_000)).unwrap(), []);
    assert!(matches!(fixture.read(&at(99)), Err(Miss::ClockSetBack)));
}

#[test]
fn s47_a_wall_clock_that_jumps_does_not_matter_within_one_boot() {
    let fixture = Fixture::written();
    for wall in [0, 900_000, 1_000_000 + 86_400 * 365] {
        let now = Reading { wall: Duration::from_secs(wall), ..at(200) };
        assert_eq!(fixture.read(&now).unwrap(), [token("app")], "{wall}");
    }
}

#[test]
fn s47_after_another_boot_the_wall_clock_counts_but_never_gives_more_than_was_left() {
    let fixture = Fixture::written();
    // Ten minutes later by the wall clock, five seconds after boot: 3,600 - 600 are left.
    let [kept] = &fixture.read(&after_reboot(5, 700)).unwrap()[..] else { panic!() };
    assert!(!kept.same_boot);
    assert_eq!(kept.expires, Moment::BOOT.after(Duration::from_secs(5 + 3000)));
    assert_eq!(kept.lifetime, Duration::from_secs(3600));

    assert_eq!(fixture.read(&after_reboot(5, 3700)).unwrap(), []);
    let [kept] = &fixture.read(&after_reboot(5, 100)).unwrap()[..] else { panic!() };
    assert_eq!(kept.expires, Moment::BOOT.after(Duration::from_secs(5 + 3600)));
    assert!(matches!(fixture.read(&after_reboot(5, 99)), Err(Miss::ClockSetBack)));
}

#[test]
fn boots_that_can_not_be_told_apart_are_not_the_same() {
    let fixture = Fixture::new();
    let unknown = Reading { boot_id: None, ..at(100) };
    fixture.write(vec![token("app")], &unknown);
    for now in [unknown, at(100)] {
        assert!(!fixture.read(&now).unwrap()[0].same_boot, "{now:?}");
    }
}

#[test]
fn what_does_not_fit_is_left_out_the_last_tokens_first() {
    let tokens = [token("one"), token("two"), token("three"), narrowed("one"), narrowed("two")];
    let given = tokens.len();
    let clients_of = |limit: usize| {
        let (encoded, left_out) = Contents::encode(tokens.iter().cloned(), &at(100), limit).unwrap();
        assert!(encoded.len() <= limit.max(32), "{} bytes of {limit}", encoded.len());
        let kept = Contents::decode(&encoded).unwrap().into_tokens(&[1; 16], &at(100)).unwrap();
        assert_eq!(kept.len() + left_out, given);
        kept.iter().map(|token| token.client.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(clients_of(MAX_LENGTH), ["one", "two", "three", "one", "two"]);
    assert_eq!(clients_of(0), [""; 0]);
    let mut most = 0;
    for limit in 0..3000 {
        let clients = clients_of(limit);
        assert!(
            ["one", "two", "three", "one", "two"]
                .starts_with(&clients.iter().map(String::as_str).collect::<Vec<_>>())
        );
        assert!(clients.len() >= most);
        most = clients.len();
    }
    assert_eq!(most, given);
}

#[test]
fn the_form_on_disk_stays() {
    let fixture = Fixture::written();
    let bytes = fixture.bytes();
    assert_eq!(bytes[..10], *b"TKBRTOKS\x01\x00");
    assert_eq!(bytes[10..18], fixture.key.id());
    assert_eq!(bytes[18..34], [1; 16]);

    let token = KeptToken { binding: "b".into(), credential: "v".into(), ..narrowed("app") };
    let golden: &[&[u8]] = &[
        b"\xfd\x00\xe8\x76\x48\x17\x00\x00\x00",
        b"\xfd\x00\x68\x3d\xed\x95\x8d\x03\x00",
        b"\x01",
        b"\x03app",
        b"\x01b",
        b"\x01v",
        b"\x01\x04read",
        b"\x02\x12https://a.example/\x12https://b.example/",
        b"\x01\x08audience",
        b"\x11c4n4ry-of-a-token",
        b"\x00",
        b"\xfd\x00\x88\x2f\x79\x5d\x03\x00\x00",
        b"\xfd\x00\xa0\xb8\x30\x46\x03\x00\x00",
    ];
    assert_eq!(contents(&[token]).expose(), golden.concat());
}

proptest::proptest! {
    #[test]
    fn arbitrary_contents_never_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
        if let Some(contents) = Contents::decode(&bytes.as_slice().into()) {
            let _ = contents.into_tokens(&[1; 16], &at(100));
        }
    }
}
