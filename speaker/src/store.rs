//! The file on disk: a thread of its own writes what the machine asks for, as much in one go as waits, and says when it stands.
//!
//! It knows names and values only. What is damaged, of another version or of another region is set aside and begun anew; what
//! cannot be written any more is removed, because an older state would come back after a restart. When to try again is the
//! machine's to say.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::{Path, PathBuf};
use std::sync::{Once, mpsc};
use std::thread::JoinHandle;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use redb::{Database, DatabaseError, ReadableDatabase, StorageError, TableDefinition};
use skerry_bus::{Epoch, Region};
use skerry_speaker_core::Input;
use skerry_speaker_core::store::{Key, Write};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

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

/// What was found when the file was opened.
#[derive(Debug)]
pub struct Found {
    /// The epoch of this process: the wall clock's, or the next after the last one if that clock went back.
    pub epoch: Epoch,
    /// What the machine is to be told.
    pub restored: Input,
    /// Why an earlier file was set aside, if one was.
    pub set_aside: Option<String>,
}

enum Order {
    Store { token: u64, writes: Vec<Write> },
    Load { token: u64, keys: Vec<Key> },
    Open,
}

/// The thread that writes. Dropping it waits until all is written.
#[derive(Debug)]
pub struct Store {
    orders: Option<mpsc::Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Store {
    /// Open the file in this folder, or begin one. `wall_ms` is the wall clock.
    ///
    /// # Errors
    /// Why nothing can be kept there.
    pub fn start(
        folder: &Path,
        region: &Region,
        wall_ms: u64,
    ) -> anyhow::Result<(Store, UnboundedReceiver<Input>, Found)> {
        let (disk, found) = Disk::open(folder, region, wall_ms)?;
        let (orders, inbox) = mpsc::channel();
        // Not bounded by itself: there is at most one event for each order that was given.
        let (events, told) = unbounded_channel();
        let mut desk = Desk {
            path: folder.join(FILE),
            region: region.clone(),
            epoch: found.epoch,
            disk: Some(disk),
            events,
        };
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || desk.run(&inbox))
            .context("a thread for the disk")?;
        let store = Store {
            orders: Some(orders),
            thread: Some(thread),
        };
        Ok((store, told, found))
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            // The thread ends after this is dropped, not before.
            let _ = orders.send(order);
        }
    }

    /// Carry out [`skerry_speaker_core::Output::Store`].
    pub fn store(&self, token: u64, writes: Vec<Write>) {
        self.order(Order::Store { token, writes });
    }

    /// Carry out [`skerry_speaker_core::Output::Load`].
    pub fn load(&self, token: u64, keys: Vec<Key>) {
        self.order(Order::Load { token, keys });
    }

    /// Carry out [`skerry_speaker_core::Output::OpenStore`].
    pub fn open_again(&self) {
        self.order(Order::Open);
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Where orders are carried out.
struct Desk {
    path: PathBuf,
    region: Region,
    epoch: Epoch,
    /// None: it was given up.
    disk: Option<Disk>,
    events: UnboundedSender<Input>,
}

impl Desk {
    fn run(&mut self, inbox: &mpsc::Receiver<Order>) {
        let mut next = None;
        loop {
            let Some(order) = next.take().or_else(|| inbox.recv().ok()) else {
                return;
            };
            match order {
                Order::Store { token, writes } => {
                    let mut tokens = vec![token];
                    let mut all = writes;
                    // What waits already goes with it: one flush for all of them.
                    while tokens.len() < GATHER_MAX && len(&all) < GATHER_BYTES_MAX {
                        match inbox.try_recv() {
                            Ok(Order::Store { token, writes }) => {
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
                    self.write(tokens, &all);
                }
                Order::Load { token, keys } => self.load(token, &keys),
                Order::Open => self.open_again(),
            }
        }
    }

    fn tell(&self, input: Input) {
        // Nobody listens any more: the process ends.
        let _ = self.events.send(input);
    }

    fn write(&mut self, tokens: Vec<u64>, writes: &[Write]) {
        let done = match &self.disk {
            Some(disk) => guarded(|| disk.write(writes)),
            None => Err(anyhow::anyhow!("the store was given up")),
        };
        match done {
            Ok(()) => tokens.into_iter().for_each(|token| self.tell(Input::Stored { token })),
            Err(error) => {
                let cause = format!("{error:#}");
                if let Some(disk) = self.disk.take() {
                    // Closing a file that cannot be written may fail in its own way.
                    let _ = guarded(move || {
                        drop(disk);
                        Ok(())
                    });
                    if let Err(error) = std::fs::remove_file(&self.path) {
                        tracing::error!(path = %self.path.display(), %error, "an older state stays on disk: remove it");
                    }
                }
                for token in tokens {
                    let cause = cause.clone();
                    self.tell(Input::StoreFailed { token, cause });
                }
            }
        }
    }

    fn load(&self, token: u64, keys: &[Key]) {
        let read = match &self.disk {
            Some(disk) => guarded(|| disk.read(keys)),
            None => Err(anyhow::anyhow!("the store was given up")),
        };
        self.tell(match read {
            Ok(values) => Input::Loaded { token, values },
            Err(error) => Input::LoadFailed {
                token,
                cause: format!("{error:#}"),
            },
        });
    }

    fn open_again(&mut self) {
        self.disk = None;
        let opened = guarded(|| {
            match std::fs::remove_file(&self.path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error)?,
                Ok(()) | Err(_) => {}
            }
            let disk = Disk::at(&self.path)?;
            disk.sign(&self.region, self.epoch)?;
            Ok(disk)
        });
        match opened {
            Ok(disk) => {
                self.disk = Some(disk);
                self.tell(Input::Restored { entries: Vec::new() });
            }
            Err(error) => self.tell(Input::StoreFailed {
                token: 0,
                cause: format!("{error:#}"),
            }),
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
    fn at(path: &Path) -> anyhow::Result<Disk> {
        let database = Database::builder().set_cache_size(CACHE_BYTES).create(path)?;
        Ok(Disk(database))
    }

    /// Open what is there; set it aside if it is of no use.
    fn open(folder: &Path, region: &Region, wall_ms: u64) -> anyhow::Result<(Disk, Found)> {
        ensure!(folder.is_dir(), "{} is no folder", folder.display());
        let path = folder.join(FILE);
        let mut set_aside = None;
        if path.try_exists()? {
            match guarded(|| Disk::existing(&path, region)) {
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
        let disk = Disk::at(&path).with_context(|| path.display().to_string())?;
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
    fn existing(path: &Path, region: &Region) -> anyhow::Result<(Disk, Epoch, Entries)> {
        let mut disk = Disk::at(path)?;
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
