//! The file on disk: what was written stands after a restart, and whatever happens to the file, there is a store again. A disk
//! that hangs holds up its thread and nobody else, and when it comes back nothing of what was void by then stands on it.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use redb::backends::FileBackend;
use redb::{Database, StorageBackend};
use skerry_bus::{Region, SwitchId};
use skerry_speaker::store::{ASIDE, FILE, Found, Store};
use skerry_speaker_core::Input;
use skerry_speaker_core::orders::ORDERS_MAX;
use skerry_speaker_core::store::{Key, OPEN_TOKEN, Write};
use tokio::sync::mpsc::Receiver;

/// Damages tried; in a long run, as many as there are cases of property tests, up to 20 times this.
const DAMAGES: u64 = 150;

fn damages() -> u64 {
    let cases = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok());
    cases.unwrap_or(DAMAGES).clamp(DAMAGES, 20 * DAMAGES)
}

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("skerry-store-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a folder for the test");
        Folder(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join(FILE)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn east() -> Region {
    "east".parse().expect("a region")
}

fn start(folder: &Path, wall_ms: u64) -> (Store, Receiver<Input>, Found) {
    Store::start(folder, &east(), wall_ms).expect("a store")
}

fn entries(found: &Found) -> Vec<(Key, Bytes)> {
    match &found.restored {
        Input::Restored { entries } => entries.clone(),
        other => panic!("{other:?}"),
    }
}

fn next(told: &mut Receiver<Input>) -> Input {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let next = async { tokio::time::timeout(Duration::from_secs(60), told.recv()).await };
    runtime
        .block_on(next)
        .expect("the disk answers")
        .expect("the thread runs")
}

fn put(key: Key, value: impl Into<Bytes>) -> Write {
    Write::Put {
        key,
        value: value.into(),
    }
}

/// Write and wait until it stands.
fn write(store: &Store, told: &mut Receiver<Input>, token: u64, writes: Vec<Write>) {
    store.store(token, writes);
    match next(told) {
        Input::Stored { token: stored } => assert_eq!(stored, token),
        other => panic!("{other:?}"),
    }
}

fn head(switch: u64) -> Key {
    Key::Head(SwitchId(switch))
}

fn part(switch: u64, part: u32) -> Key {
    Key::Part(SwitchId(switch), part)
}

#[test]
fn what_was_written_stands_after_a_restart_and_parts_are_read_when_asked_for() {
    let folder = Folder::new("restart");
    let (store, mut told, found) = start(&folder.0, 1_000);
    assert_eq!((found.epoch.0, entries(&found).len()), (1_000, 0));
    let large = Bytes::from(vec![7; 3_000_000]);
    let writes = vec![
        put(head(1), "one"),
        put(part(1, 0), large.clone()),
        put(Key::Answer(4), "four"),
    ];
    write(&store, &mut told, 1, writes);
    write(&store, &mut told, 2, vec![put(part(1, 1), "more"), put(head(2), "two")]);
    write(&store, &mut told, 3, vec![Write::Delete { key: head(2) }]);
    drop(store);

    // The wall clock went back; the epoch does not.
    let (store, mut told, found) = start(&folder.0, 10);
    assert_eq!(found.epoch.0, 1_001);
    assert_eq!(found.set_aside, None);
    assert_eq!(
        entries(&found),
        [(Key::Answer(4), Bytes::from("four")), (head(1), Bytes::from("one"))]
    );
    store.load(9, vec![part(1, 0), part(1, 1)]);
    match next(&mut told) {
        Input::Loaded { token: 9, values } => assert_eq!(values, [large, Bytes::from("more")]),
        other => panic!("{other:?}"),
    }
    store.load(10, vec![part(1, 0), part(3, 0)]);
    assert!(matches!(next(&mut told), Input::LoadFailed { token: 10, .. }));
}

#[test]
fn a_store_in_use_is_left_alone_and_one_of_another_region_is_set_aside() {
    let folder = Folder::new("use");
    let (store, mut told, _) = start(&folder.0, 1);
    write(&store, &mut told, 1, vec![put(head(1), "one")]);
    let error = Store::start(&folder.0, &east(), 1)
        .map(|_| ())
        .expect_err("it is in use");
    assert!(format!("{error:#}").contains("already open"), "{error:#}");
    drop(store);
    let west: Region = "west".parse().expect("a region");
    let (store, _, found) = Store::start(&folder.0, &west, 1).expect("a store");
    assert!(
        found.set_aside.as_ref().is_some_and(|why| why.contains("east")),
        "{found:?}"
    );
    assert_eq!(entries(&found), []);
    assert!(folder.0.join(ASIDE).exists());
    drop(store);
    let gone = Store::start(&folder.0.join("nowhere"), &west, 1).map(|_| ());
    assert!(format!("{:#}", gone.expect_err("no such folder")).contains("is no folder"));
}

/// A small generator: the same numbers for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n.max(1)
    }
}

/// Spoil a file in one of the ways in which files are spoiled.
fn spoil(bytes: &mut Vec<u8>, dice: &mut Dice) -> &'static str {
    let len = bytes.len() as u64;
    match dice.below(5) {
        0 => {
            bytes.truncate(dice.below(len) as usize);
            "truncated"
        }
        1 => {
            for _ in 0..=dice.below(64) {
                let at = dice.below(len) as usize;
                bytes[at] ^= 1 << dice.below(8);
            }
            "bits"
        }
        2 => {
            // The first pages say where everything is.
            for _ in 0..=dice.below(16) {
                let at = dice.below(4_096.min(len)) as usize;
                bytes[at] = dice.below(256) as u8;
            }
            "header"
        }
        3 => {
            let at = dice.below(len) as usize;
            let end = (at + dice.below(20_000) as usize).min(bytes.len());
            bytes[at..end].fill(0);
            "zeros"
        }
        _ => {
            let at = dice.below(len) as usize;
            for byte in &mut bytes[at..] {
                *byte = dice.below(256) as u8;
            }
            "noise to the end"
        }
    }
}

#[test]
fn however_a_file_is_damaged_there_is_a_store_and_nothing_wrong_in_it() {
    let folder = Folder::new("damage");
    let (store, mut told, _) = start(&folder.0, 1);
    let value = |switch: u64| Bytes::from(vec![switch as u8; 300 * switch as usize]);
    for switch in 1..=40 {
        let writes = vec![put(head(switch), value(switch)), put(part(switch, 0), value(switch))];
        write(&store, &mut told, switch, writes);
    }
    drop(store);
    let clean = std::fs::read(folder.file()).expect("the file");
    // As a killed process leaves it: it has to be repaired when it is opened.
    let (killed_store, mut told, _) = start(&folder.0, 2);
    write(&killed_store, &mut told, 1, vec![put(head(41), "x")]);
    let killed = std::fs::read(folder.file()).expect("the file");
    drop(killed_store);

    let (mut aside, mut whole) = (0, 0);
    let damages = damages();
    for seed in 0..damages {
        let mut dice = Dice(seed);
        let mut bytes = if seed % 2 == 0 { clean.clone() } else { killed.clone() };
        let how = spoil(&mut bytes, &mut dice);
        std::fs::write(folder.file(), &bytes).expect("the file");
        let (store, mut told, found) = start(&folder.0, 3);
        let what = format!("seed {seed}, {how}, set aside: {:?}", found.set_aside);
        let there = entries(&found);
        if found.set_aside.is_some() {
            assert_eq!(there, [], "{what}");
            aside += 1;
        } else {
            whole += 1;
        }
        for (n, (key, read)) in there.into_iter().enumerate() {
            let Key::Head(switch) = key else {
                panic!("{what}: {key:?}")
            };
            if switch.0 == 41 {
                continue;
            }
            assert_eq!(read, value(switch.0), "{what}");
            store.load(n as u64, vec![part(switch.0, 0)]);
            match next(&mut told) {
                Input::Loaded { values, .. } => assert_eq!(values, [value(switch.0)], "{what}"),
                other => panic!("{what}: {other:?}"),
            }
        }
        // And it takes what comes.
        write(&store, &mut told, 1_000, vec![put(head(1), "again")]);
    }
    println!("of {damages} damaged files {aside} were set aside, {whole} were repaired or not hit");
    assert!(aside > damages / 4 && whole > 0, "{aside} set aside, {whole} whole");
}

/// Where a disk hangs: what is to reach it safely waits here while it is closed.
#[derive(Debug, Default)]
struct Gate {
    state: Mutex<GateState>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct GateState {
    closed: bool,
    waiting: usize,
    /// Something with [`VOID`] in it was written.
    void_written: bool,
}

/// A value that is to be void before the thread comes to it.
const VOID: &[u8] = b"waits and is void";

impl Gate {
    fn set_closed(&self, closed: bool) {
        self.state.lock().expect("a gate").closed = closed;
        self.moved.notify_all();
    }

    fn pass(&self) {
        let mut state = self.state.lock().expect("a gate");
        state.waiting += 1;
        self.moved.notify_all();
        let mut state = self.moved.wait_while(state, |state| state.closed).expect("a gate");
        state.waiting -= 1;
    }

    fn is_void_written(&self) -> bool {
        self.state.lock().expect("a gate").void_written
    }

    /// Wait until somebody waits at the gate.
    fn wait_until_somebody_hangs(&self) {
        let state = self.state.lock().expect("a gate");
        let wait = self
            .moved
            .wait_timeout_while(state, PATIENCE, |state| state.waiting == 0);
        assert!(!wait.expect("a gate").1.timed_out(), "nobody wants to reach the disk");
    }
}

/// A file on a disk that hangs when its gate is closed: fsync does not come back.
#[derive(Debug)]
struct Hanging {
    file: FileBackend,
    gate: Arc<Gate>,
}

impl StorageBackend for Hanging {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.gate.pass();
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if data.windows(VOID.len()).any(|part| part == VOID) {
            self.gate.state.lock().expect("a gate").void_written = true;
        }
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}

/// A test that waits longer has found a fault.
const PATIENCE: Duration = Duration::from_secs(60);

fn start_hanging(folder: &Path) -> (Store, Receiver<Input>, Arc<Gate>) {
    let gate = Arc::new(Gate::default());
    let (store, told, _) = start_at(folder, &gate, PATIENCE);
    (store, told, gate)
}

fn start_at(folder: &Path, gate: &Arc<Gate>, patience: Duration) -> (Store, Receiver<Input>, Found) {
    let at = gate.clone();
    let open = move |path: &Path| {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(path)?;
        let (file, gate) = (FileBackend::new(file)?, at.clone());
        Database::builder().create_with_backend(Hanging { file, gate })
    };
    Store::start_with(Box::new(open), patience, folder, &east(), 1).expect("a store")
}

/// Wait until this holds.
fn wait(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "never: {what}");
        std::thread::yield_now();
    }
}

fn is_restored(input: &Input) -> bool {
    matches!(input, Input::Restored { entries } if entries.is_empty())
}

#[test]
fn what_hung_and_what_waited_behind_it_does_not_stand_on_a_disk_that_comes_back() {
    let folder = Folder::new("hang");
    let (store, mut told, gate) = start_hanging(&folder.0);
    write(&store, &mut told, 1, vec![put(head(1), "of before")]);
    gate.set_closed(true);
    store.store(2, vec![put(head(2), "hangs")]);
    gate.wait_until_somebody_hangs();
    // Of all kinds, behind it.
    store.store(3, vec![put(head(3), VOID)]);
    store.load(4, vec![head(1)]);
    store.store(5, vec![put(head(5), VOID)]);
    assert!(told.try_recv().is_err(), "nothing of it is done");
    assert!(folder.file().exists());

    store.open_again();
    // Who is restarted now finds nothing old, although the disk still hangs.
    wait("the name is removed at once", || !folder.file().exists());
    assert!(told.try_recv().is_err());

    gate.set_closed(false);
    let first = next(&mut told);
    assert!(is_restored(&first), "of what is void nothing is told: {first:?}");
    assert!(!gate.is_void_written(), "nor is it done first");
    store.load(6, vec![head(2)]);
    assert!(matches!(next(&mut told), Input::LoadFailed { token: 6, .. }));
    write(&store, &mut told, 7, vec![put(head(7), "of now")]);
    drop(store);
    let (_store, _told, found) = start(&folder.0, 2);
    assert_eq!(found.set_aside, None);
    assert_eq!(entries(&found), [(head(7), Bytes::from("of now"))]);
}

#[test]
fn a_write_that_fails_after_it_hung_says_nothing_of_the_store_that_follows() {
    let folder = Folder::new("hang-twice");
    let (store, mut told, gate) = start_hanging(&folder.0);
    for round in 1..=3 {
        gate.set_closed(true);
        store.store(2 * round, vec![put(head(round), "hangs")]);
        gate.wait_until_somebody_hangs();
        store.open_again();
        gate.set_closed(false);
        let told_first = next(&mut told);
        assert!(is_restored(&told_first), "round {round}: {told_first:?}");
        write(&store, &mut told, 2 * round + 1, vec![put(head(100 + round), "stands")]);
    }
    drop(store);
    let (_store, _told, found) = start(&folder.0, 2);
    assert_eq!(entries(&found), [(head(103), Bytes::from("stands"))]);
}

#[test]
fn who_orders_never_waits_and_is_told_when_no_more_can_be_ordered() {
    let folder = Folder::new("full");
    let (store, mut told, gate) = start_hanging(&folder.0);
    gate.set_closed(true);
    // From here on the thread takes nothing.
    store.store(1, vec![put(head(1), "hangs")]);
    gate.wait_until_somebody_hangs();
    let mut token = 1;
    let refused = loop {
        token += 1;
        assert!(token < 3 * ORDERS_MAX as u64, "the queue has no end");
        store.store(token, vec![put(head(token), VOID)]);
        if let Ok(input) = told.try_recv() {
            break input;
        }
    };
    assert!(token > ORDERS_MAX as u64, "the machine is to give up first: {token}");
    match refused {
        Input::StoreFailed { token: of, cause } => {
            assert_eq!(of, token);
            assert!(cause.contains("orders wait for the disk"), "{cause}");
        }
        other => panic!("{other:?}"),
    }
    gate.set_closed(false);
    // What waited is void: it is neither done nor told, and what stood there is removed.
    wait("the file is removed", || !folder.file().exists());
    assert!(told.try_recv().is_err());
    assert!(!gate.is_void_written());
    let opened = loop {
        store.open_again();
        let input = next(&mut told);
        if is_restored(&input) {
            break input;
        }
        // The thread is still throwing away what is void.
        assert!(
            matches!(input, Input::StoreFailed { token: OPEN_TOKEN, .. }),
            "{input:?}"
        );
    };
    assert!(is_restored(&opened));
    write(&store, &mut told, 100_000, vec![put(head(1), "of now")]);
    drop(store);
    let (_store, _told, found) = start(&folder.0, 2);
    assert_eq!(entries(&found), [(head(1), Bytes::from("of now"))]);
}

#[test]
fn the_end_waits_for_what_is_written_and_not_for_a_disk_that_hangs() {
    let folder = Folder::new("end");
    let (store, _told, gate) = start_hanging(&folder.0);
    gate.set_closed(true);
    store.store(1, vec![put(head(1), "in time")]);
    gate.wait_until_somebody_hangs();
    let ending = std::thread::spawn(move || drop(store));
    gate.set_closed(false);
    ending.join().expect("it ends");
    let (store, _told, found) = start(&folder.0, 2);
    assert_eq!(entries(&found), [(head(1), Bytes::from("in time"))]);
    drop(store);

    let (store, _told, gate) = start_hanging(&folder.0);
    gate.set_closed(true);
    store.store(1, vec![put(head(1), "never")]);
    gate.wait_until_somebody_hangs();
    // It comes back although the gate stays closed.
    drop(store);
    gate.wait_until_somebody_hangs();
}

#[test]
fn a_disk_that_hangs_at_the_start_is_done_without_until_it_comes_back() {
    let folder = Folder::new("start");
    let (store, mut told, _) = start(&folder.0, 1);
    write(&store, &mut told, 1, vec![put(head(1), "of before")]);
    drop(store);
    let gate = Arc::new(Gate::default());
    gate.set_closed(true);
    // Opening a file that was closed writes nothing; saying whose it is does.
    let (store, mut told, found) = start_at(&folder.0, &gate, Duration::from_millis(1));
    match found.restored {
        Input::StoreFailed { token, cause } => {
            assert_eq!(token, OPEN_TOKEN);
            assert!(cause.starts_with("it hangs"), "{cause}");
        }
        other => panic!("{other:?}"),
    }
    gate.wait_until_somebody_hangs();
    store.open_again();
    gate.set_closed(false);
    let first = next(&mut told);
    assert!(is_restored(&first), "{first:?}");
    write(&store, &mut told, 2, vec![put(head(2), "of now")]);
    drop(store);
    let (_store, _told, found) = start(&folder.0, 2);
    assert_eq!(entries(&found), [(head(2), Bytes::from("of now"))]);
}
