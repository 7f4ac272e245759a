//! The file on disk: a thread of its own writes what the machine asks for, as much in one go as waits, and says when it stands.
//!
//! It knows names and values only. What is damaged, of another version or of another region is set aside and begun anew; what
//! cannot be written any more is removed, because an older state would come back after a restart. When to try again is the
//! machine's to say.
//!
//! A disk may hang, and the thread with it. Then the machine gives the store up and asks for an empty one
//! ([`Store::open_again`]), which begins a new *round*: what was ordered in an earlier one is void, and whatever the thread
//! was doing when the disk hung, nothing of it stands when the disk comes back. Nobody waits for the thread without an end.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError, mpsc};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use redb::{Database, DatabaseError, ReadableDatabase, StorageError, TableDefinition};
use skerry_bus::{Epoch, Region};
use skerry_speaker_core::Input;
use skerry_speaker_core::orders::{HANG_MAX, ORDERS_MAX};
use skerry_speaker_core::store::{Key, OPEN_TOKEN, Write};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// The file's name in the folder.
pub const FILE: &str = "speaker.redb";
/// What was set aside. Only the last one is kept: a disk that damages files does it again.
pub const ASIDE: &str = "speaker.redb.damaged";

const KEPT: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("kept");
const ABOUT: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("about");
/// Form of what stands in the file. Another one is set aside.
const FORM: &[u8] = b"1";
/// Memory for pages. Nearly everything is written once and read at a restart.
const CACHE_BYTES: usize = 4 * 1024 * 1024;
/// Bytes that go to disk in one go. What waits behind them goes in the next.
const GATHER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Requests that go to disk in one go.
const GATHER_MAX: usize = 4_096;
/// Orders that may wait for the thread, and answers that may wait for who ordered. The machine gives up a disk that leaves
/// more than [`ORDERS_MAX`] unanswered as soon as it is told the time, before which it is told of a few hundred events at
/// most. Beyond this the store is given up as one that cannot be written.
const QUEUE_MAX: usize = ORDERS_MAX + 1_024;
/// How long the end of the process waits for what is still to be written. A disk that takes longer hangs; nothing that was
/// done at a switch is lost with it, because that was written before.
const END_MAX: Duration = HANG_MAX;

/// What was found when the file was opened.
#[derive(Debug)]
pub struct Found {
    /// The epoch of this process: the wall clock's, or the next after the last one if that clock went back.
    pub epoch: Epoch,
    /// What the machine is to be told: what stands there, or that the disk hangs.
    pub restored: Input,
    /// Why an earlier file was set aside, if one was.
    pub set_aside: Option<String>,
}

/// How long the start waits for the file to be opened, which reads all of it; a card that reads 20 MB a second takes 13 s for
/// what `limits.state_bytes` allows by default. systemd gives a start 30 s. A disk that takes longer hangs.
const OPEN_MAX: Duration = Duration::from_secs(20);

/// How a file is opened as a database, or begun.
pub type Opener = Box<dyn Fn(&Path) -> Result<Database, DatabaseError> + Send>;

struct Order {
    /// In which round it was given.
    round: u64,
    what: What,
}

enum What {
    Store { token: u64, writes: Vec<Write> },
    Load { token: u64, keys: Vec<Key> },
    Open,
}

/// What the thread and those who order know of each other while the thread is busy.
#[derive(Debug, Default)]
struct Rounds {
    /// The round that counts.
    current: AtomicU64,
    /// In which round the file that has the name was begun. Held while the name is removed.
    file: Mutex<u64>,
}

/// The round that a process begins with.
const FIRST_ROUND: u64 = 0;

impl Rounds {
    fn current(&self) -> u64 {
        self.current.load(Ordering::Acquire)
    }

    /// All that was ordered so far is void.
    fn next(&self) -> u64 {
        self.current.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Remove a file that was begun before this round, and let none be removed that is begun from now on for it.
    fn remove(&self, round: u64, path: &Path) -> std::io::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if *file < round {
            remove(path)?;
            *file = round;
        }
        Ok(())
    }
}

/// Remove a file, if there is one, so that it does not come back with a power cut.
fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        Err(_) => Ok(()),
        Ok(()) => match path.parent() {
            Some(folder) => std::fs::File::open(folder)?.sync_all(),
            None => Ok(()),
        },
    }
}

/// The thread that writes. Dropping it waits until all is written, but not for a disk that hangs.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    orders: Option<mpsc::SyncSender<Order>>,
    rounds: Arc<Rounds>,
    events: Sender<Input>,
    /// Its other end is dropped when the thread ends.
    ended: mpsc::Receiver<()>,
}

impl Store {
    /// Open the file in this folder, or begin one. `wall_ms` is the wall clock. A disk that hangs is waited for no longer than
    /// 20 s.
    ///
    /// # Errors
    /// Why nothing can be kept there.
    pub fn start(folder: &Path, region: &Region, wall_ms: u64) -> anyhow::Result<(Store, Receiver<Input>, Found)> {
        let open = |path: &Path| Database::builder().set_cache_size(CACHE_BYTES).create(path);
        Store::start_with(Box::new(open), OPEN_MAX, folder, region, wall_ms)
    }

    /// The same with another way to open a file, and another patience.
    ///
    /// # Errors
    /// Why nothing can be kept there.
    pub fn start_with(
        open: Opener,
        open_max: Duration,
        folder: &Path,
        region: &Region,
        wall_ms: u64,
    ) -> anyhow::Result<(Store, Receiver<Input>, Found)> {
        let (orders, inbox) = mpsc::sync_channel(QUEUE_MAX);
        let (events, told) = channel(QUEUE_MAX);
        let (alive, ended) = mpsc::channel();
        let rounds = Arc::new(Rounds::default());
        let path = folder.join(FILE);
        let mut desk = Desk {
            path: path.clone(),
            region: region.clone(),
            epoch: Epoch(wall_ms),
            open,
            disk: None,
            rounds: rounds.clone(),
            events: events.clone(),
        };
        let (opened, first) = mpsc::channel();
        let in_folder = folder.to_owned();
        std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                desk.begin(&in_folder, wall_ms, &opened);
                desk.run(&inbox);
                // Whoever waits for the end finds the file closed.
                drop(desk);
                drop::<mpsc::Sender<()>>(alive);
            })
            .context("a thread for the disk")?;
        let found = match first.recv_timeout(open_max) {
            Ok(found) => found?,
            Err(mpsc::RecvTimeoutError::Disconnected) => bail!("the thread of the disk ended"),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                // Should it be opened after all, switches hold something else by then.
                rounds.next();
                let cause = format!("it hangs: not opened in {open_max:?}");
                let token = OPEN_TOKEN;
                Found {
                    epoch: Epoch(wall_ms),
                    restored: Input::StoreFailed { token, cause },
                    set_aside: None,
                }
            }
        };
        let orders = Some(orders);
        let store = Store {
            path,
            orders,
            rounds,
            events,
            ended,
        };
        Ok((store, told, found))
    }

    /// Gives whether it was taken. It never waits.
    fn order(&self, token: u64, round: u64, what: What) -> bool {
        let Some(orders) = &self.orders else {
            return false;
        };
        let cause = match orders.try_send(Order { round, what }) {
            Ok(()) => return true,
            Err(mpsc::TrySendError::Full(_)) => format!("{QUEUE_MAX} orders wait for the disk"),
            Err(mpsc::TrySendError::Disconnected(_)) => "the thread of the disk ended".to_owned(),
        };
        // What waits must not be done without what could not be ordered.
        self.rounds.next();
        // If not even this can be told, the machine finds that it has no answer.
        let _ = self.events.try_send(Input::StoreFailed { token, cause });
        false
    }

    /// Carry out [`skerry_speaker_core::Output::Store`].
    pub fn store(&self, token: u64, writes: Vec<Write>) {
        self.order(token, self.rounds.current(), What::Store { token, writes });
    }

    /// Carry out [`skerry_speaker_core::Output::Load`].
    pub fn load(&self, token: u64, keys: Vec<Key>) {
        self.order(token, self.rounds.current(), What::Load { token, keys });
    }

    /// Carry out [`skerry_speaker_core::Output::OpenStore`].
    pub fn open_again(&self) {
        let round = self.rounds.next();
        if !self.order(OPEN_TOKEN, round, What::Open) {
            return;
        }
        // The thread may hang, and until it does not, the older state would be what a restart finds. Often the name can be
        // removed nevertheless. The thread begins no file before this has ended, so there is one of these at a time.
        let (rounds, path) = (self.rounds.clone(), self.path.clone());
        let removing = std::thread::Builder::new().name("store-remove".to_owned());
        let removing = removing.spawn(move || {
            if let Err(error) = rounds.remove(round, &path) {
                tracing::debug!(path = %path.display(), %error, "not removed at once");
            }
        });
        if let Err(error) = removing {
            tracing::debug!(%error, "no thread to remove the file at once");
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.orders = None;
        if let Err(mpsc::RecvTimeoutError::Timeout) = self.ended.recv_timeout(END_MAX) {
            tracing::error!(path = %self.path.display(), "the disk hangs: what is not written is left, and its thread");
        }
    }
}

/// Where orders are carried out.
struct Desk {
    path: PathBuf,
    region: Region,
    epoch: Epoch,
    open: Opener,
    /// None: it was given up.
    disk: Option<Disk>,
    rounds: Arc<Rounds>,
    events: Sender<Input>,
}

impl Desk {
    /// What stands on disk, for who waits for it.
    fn begin(&mut self, folder: &Path, wall_ms: u64, found: &mpsc::Sender<anyhow::Result<Found>>) {
        let opened = Disk::open(&self.open, folder, &self.region, wall_ms);
        let opened = opened.map(|(disk, found)| {
            self.epoch = found.epoch;
            self.disk = Some(disk);
            found
        });
        // If nobody waits any longer, it is void.
        let _ = found.send(opened);
        if self.is_void(FIRST_ROUND) {
            self.give_up();
        }
    }

    fn run(&mut self, inbox: &mpsc::Receiver<Order>) {
        let mut next = None;
        loop {
            let Some(Order { round, what }) = next.take().or_else(|| inbox.recv().ok()) else {
                return;
            };
            match what {
                _ if self.is_void(round) => self.give_up(),
                What::Store { token, writes } => {
                    let mut tokens = vec![token];
                    let mut all = writes;
                    // What waits already goes with it: one flush for all of them.
                    while tokens.len() < GATHER_MAX && len(&all) < GATHER_BYTES_MAX {
                        match inbox.try_recv() {
                            Ok(Order {
                                round: of,
                                what: What::Store { token, writes },
                            }) if of == round => {
                                tokens.push(token);
                                all.extend(writes);
                            }
                            Ok(other) => {
                                next = Some(other);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    self.write(round, tokens, &all);
                }
                What::Load { token, keys } => self.load(round, token, &keys),
                What::Open => self.open_again(round),
            }
        }
    }

    /// Whether what was ordered in this round must not be done, or must not stand if it was done, any more.
    fn is_void(&self, round: u64) -> bool {
        round < self.rounds.current()
    }

    /// Nobody is told of what is void.
    fn tell(&self, round: u64, input: Input) {
        if !self.is_void(round) {
            // Nobody listens any more: the process ends.
            let _ = self.events.blocking_send(input);
        }
    }

    /// Nothing that stands on disk may be found by a restart.
    fn give_up(&mut self) {
        let Some(disk) = self.disk.take() else { return };
        // Closing a file that cannot be written may fail in its own way.
        let _ = guarded(move || {
            drop(disk);
            Ok(())
        });
        if let Err(error) = remove(&self.path) {
            tracing::error!(path = %self.path.display(), %error, "an older state stays on disk: remove it");
        }
    }

    fn write(&mut self, round: u64, tokens: Vec<u64>, writes: &[Write]) {
        let done = match &self.disk {
            // Here it may stand still until everything else is otherwise.
            Some(disk) => guarded(|| disk.write(writes)),
            None => Err(anyhow::anyhow!("the store was given up")),
        };
        // Done and void by now: what made it void waits behind it, and removes it.
        if done.is_err() {
            self.give_up();
        }
        for token in tokens {
            self.tell(
                round,
                match &done {
                    Ok(()) => Input::Stored { token },
                    Err(error) => Input::StoreFailed {
                        token,
                        cause: format!("{error:#}"),
                    },
                },
            );
        }
    }

    fn load(&mut self, round: u64, token: u64, keys: &[Key]) {
        let read = match &self.disk {
            Some(disk) => guarded(|| disk.read(keys)),
            None => Err(anyhow::anyhow!("the store was given up")),
        };
        self.tell(
            round,
            match read {
                Ok(values) => Input::Loaded { token, values },
                Err(error) => Input::LoadFailed {
                    token,
                    cause: format!("{error:#}"),
                },
            },
        );
    }

    fn open_again(&mut self, round: u64) {
        self.give_up();
        let opened = guarded(|| {
            self.rounds.remove(round, &self.path)?;
            let disk = Disk((self.open)(&self.path)?);
            disk.sign(&self.region, self.epoch)?;
            Ok(disk)
        });
        match opened {
            Ok(disk) => {
                self.disk = Some(disk);
                self.tell(round, Input::Restored { entries: Vec::new() });
            }
            Err(error) => self.tell(
                round,
                Input::StoreFailed {
                    token: OPEN_TOKEN,
                    cause: format!("{error:#}"),
                },
            ),
        }
    }
}

fn len(writes: &[Write]) -> usize {
    let value = |write: &Write| match write {
        Write::Put { value, .. } => value.len(),
        Write::Delete { .. } => 0,
    };
    writes.iter().map(value).sum()
}

thread_local! {
    /// This thread is in [`guarded`].
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Do something with a file that may hold anything. A panic of the library (its debug build has them for damaged files) is an
/// error like any other, and told as one: once, by the caller.
fn guarded<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if !GUARDED.get() {
                before(panic);
            }
        }));
    });
    GUARDED.set(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(false);
    done.unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        Err(anyhow::anyhow!("the file cannot be read: {}", text.unwrap_or("panic")))
    })
}

/// Names and values.
type Entries = Vec<(Key, Bytes)>;

/// The open file.
struct Disk(Database);

impl Disk {
    /// Open what is there; set it aside if it is of no use.
    fn open(open: &Opener, folder: &Path, region: &Region, wall_ms: u64) -> anyhow::Result<(Disk, Found)> {
        ensure!(folder.is_dir(), "{} is no folder", folder.display());
        let path = folder.join(FILE);
        let mut set_aside = None;
        if path.try_exists()? {
            match guarded(|| Disk::existing(open, &path, region)) {
                Ok((disk, last, entries)) => {
                    let epoch = Epoch(wall_ms.max(last.0.saturating_add(1)));
                    disk.sign(region, epoch)?;
                    let restored = Input::Restored { entries };
                    let found = Found {
                        epoch,
                        restored,
                        set_aside,
                    };
                    return Ok((disk, found));
                }
                Err(error) if is_unusable(&error) => return Err(error.context(path.display().to_string())),
                Err(error) => {
                    let aside = folder.join(ASIDE);
                    std::fs::rename(&path, &aside).with_context(|| aside.display().to_string())?;
                    set_aside = Some(format!("{error:#}"));
                }
            }
        }
        let epoch = Epoch(wall_ms);
        let disk = Disk(open(&path).with_context(|| path.display().to_string())?);
        disk.sign(region, epoch)?;
        let restored = Input::Restored { entries: Vec::new() };
        let found = Found {
            epoch,
            restored,
            set_aside,
        };
        Ok((disk, found))
    }

    /// A file that is there: its last epoch, and what is told at the start.
    fn existing(open: &Opener, path: &Path, region: &Region) -> anyhow::Result<(Disk, Epoch, Entries)> {
        let mut disk = Disk(open(path)?);
        // Everything that will be read is looked at once, so that nothing read later is damaged.
        disk.0.check_integrity()?;
        let read = disk.0.begin_read()?;
        let about = read.open_table(ABOUT)?;
        let text = |name: &str| -> anyhow::Result<Vec<u8>> {
            let value = about.get(name)?.with_context(|| format!("it says no {name}"))?;
            Ok(value.value().to_vec())
        };
        let form = text("form")?;
        ensure!(form == FORM, "it has form {:?}", String::from_utf8_lossy(&form));
        let of = text("region")?;
        ensure!(
            of == region.as_str().as_bytes(),
            "it is of region {:?}",
            String::from_utf8_lossy(&of)
        );
        let epoch = text("epoch")?;
        let epoch = u64::from_be_bytes(epoch.as_slice().try_into().context("its epoch is no number")?);
        let mut entries = Entries::new();
        for entry in read.open_table(KEPT)?.range(..Key::RESTORED_BELOW)? {
            let (key, value) = entry?;
            let key = Key::from_bytes(key.value()).context("a name in it cannot be read")?;
            entries.push((key, Bytes::copy_from_slice(value.value())));
        }
        drop(about);
        drop(read);
        Ok((disk, Epoch(epoch), entries))
    }

    /// Whose file it is.
    fn sign(&self, region: &Region, epoch: Epoch) -> anyhow::Result<()> {
        let change = self.0.begin_write()?;
        {
            let mut about = change.open_table(ABOUT)?;
            about.insert("form", FORM)?;
            about.insert("region", region.as_str().as_bytes())?;
            about.insert("epoch", epoch.0.to_be_bytes().as_slice())?;
            change.open_table(KEPT)?;
        }
        change.commit()?;
        Ok(())
    }

    fn write(&self, writes: &[Write]) -> anyhow::Result<()> {
        let change = self.0.begin_write()?;
        {
            let mut kept = change.open_table(KEPT)?;
            for write in writes {
                match write {
                    Write::Put { key, value } => drop(kept.insert(key.to_bytes().as_slice(), value.as_ref())?),
                    Write::Delete { key } => drop(kept.remove(key.to_bytes().as_slice())?),
                }
            }
        }
        change.commit()?;
        Ok(())
    }

    fn read(&self, keys: &[Key]) -> anyhow::Result<Vec<Bytes>> {
        let kept = self.0.begin_read()?.open_table(KEPT)?;
        let mut values = Vec::with_capacity(keys.len());
        for key in keys {
            match kept.get(key.to_bytes().as_slice())? {
                Some(value) => values.push(Bytes::copy_from_slice(value.value())),
                None => bail!("{key:?} is not there"),
            }
        }
        Ok(values)
    }
}

/// Whether the file may be in order and is only not to be had: in use, or not ours to open.
fn is_unusable(error: &anyhow::Error) -> bool {
    use std::io::ErrorKind as Kind;
    match error.downcast_ref::<DatabaseError>() {
        Some(DatabaseError::DatabaseAlreadyOpen) => true,
        Some(DatabaseError::Storage(StorageError::Io(error))) => {
            !matches!(error.kind(), Kind::InvalidData | Kind::UnexpectedEof)
        }
        Some(_) | None => false,
    }
}
