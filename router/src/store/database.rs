//! The store in a database: one SQLite file, or PostgreSQL.
//!
//! ```text
//! meta     version, partitions            what wrote it, for which deployment
//! owners   part -> epoch, name, address   who owns each partition
//! objects  kind, id -> part, revision, body
//! ```
//!
//! Both speak the same statements but for a few ([`Dialect`]). A write is one transaction that first looks whether each partition it
//! touches is still ours, under a lock that keeps others from taking it meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::any::{AnyPoolOptions, AnyRow, install_default_drivers};
use sqlx::{Any, AnyPool, AssertSqlSafe, Executor, Row, Transaction};
use tracing::warn;

use super::batch::{Batch, Value};
use super::{Instance, Ownership, StoreError, Stored, Taken, Write, partition_of_object};

/// The schema this version writes. 1: one router, `meta` with the version only, objects without a partition.
const SCHEMA_VERSION: i64 = 2;
/// How long another router's transaction may keep us waiting, and a connection may take to be made.
const WAIT: Duration = Duration::from_secs(5);
/// A database may be away for so long before the router gives up: a PostgreSQL that fails over takes some ten seconds.
const AWAY_MAX: Duration = Duration::from_secs(60);
/// Pauses between attempts meanwhile; they double.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// The longest of them.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Which database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A SQLite file; made if it is not there. Routers of one machine may share it.
    File(PathBuf),
    /// A URL as PostgreSQL's own tools take it: `postgres://user@host/database?sslmode=verify-full`.
    Postgres(String),
}

/// What the two do differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Sqlite,
    Postgres,
}

/// An open store.
#[derive(Debug)]
pub struct Database {
    pool: AnyPool,
    dialect: Dialect,
    partitions: i32,
    /// What we own.
    epochs: Mutex<BTreeMap<i32, u64>>,
}

impl Database {
    /// Open it, making its tables if they are not there.
    ///
    /// # Errors
    /// It cannot be reached, or was written by a newer version or for another number of partitions.
    pub async fn open(location: &Location, partitions: i32) -> Result<Self, StoreError> {
        install_default_drivers();
        let (dialect, url) = match location {
            Location::File(path) => (Dialect::Sqlite, url_of(path)),
            Location::Postgres(url) => (Dialect::Postgres, url.clone()),
        };
        // One connection: one transaction at a time, in order.
        let pool = AnyPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(WAIT)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    for pragma in dialect.at_connect() {
                        connection.execute(*pragma).await?;
                    }
                    Ok(())
                })
            })
            .connect(&url)
            .await?;
        let database = Database {
            pool,
            dialect,
            partitions,
            epochs: Mutex::default(),
        };
        database.prepare().await?;
        Ok(database)
    }

    /// Become the owner of these partitions: each begins a new owner epoch, and what earlier owners still write is refused.
    ///
    /// # Errors
    /// The database is gone.
    pub async fn take(&self, partitions: &BTreeSet<i32>, instance: &Instance) -> Result<Taken, StoreError> {
        let mut transaction = self.begin(true).await?;
        let mut taken = Taken {
            epochs: BTreeMap::new(),
            stored: Vec::new(),
        };
        for partition in partitions {
            let row = sqlx::query(
                "INSERT INTO owners (part, epoch, name, address) VALUES ($1, 1, $2, $3) \
                 ON CONFLICT (part) DO UPDATE \
                 SET epoch = owners.epoch + 1, name = excluded.name, address = excluded.address RETURNING epoch",
            )
            .bind(i64::from(*partition))
            .bind(instance.name.as_str())
            .bind(instance.address.as_str())
            .fetch_one(&mut *transaction)
            .await?;
            taken.epochs.insert(*partition, number(&row, 0));
        }
        if !partitions.is_empty() {
            let sql = format!(
                "SELECT kind, id, revision, body FROM objects WHERE part IN ({}) ORDER BY kind, id",
                list(partitions)
            );
            let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *transaction).await?;
            taken.stored = rows.iter().map(stored).collect();
        }
        transaction.commit().await?;
        self.epochs().extend(&taken.epochs);
        Ok(taken)
    }

    /// Somebody else may take them: nothing of them is written any more.
    pub fn give_up(&self, partitions: &BTreeSet<i32>) {
        self.epochs().retain(|partition, _| !partitions.contains(partition));
    }

    /// Who owns which partition.
    ///
    /// # Errors
    /// The database is gone.
    pub async fn owners(&self) -> Result<BTreeMap<i32, Ownership>, StoreError> {
        let rows = sqlx::query("SELECT part, epoch, name, address FROM owners")
            .fetch_all(&self.pool)
            .await?;
        let ownership = |row: &AnyRow| Ownership {
            epoch: number(row, 1),
            instance: Instance {
                name: row.get(2),
                address: row.get(3),
            },
        };
        Ok(rows.iter().map(|row| (part(row, 0), ownership(row))).collect())
    }

    /// Do all of these or none; durable when it returns. A database that restarts or fails over is waited for.
    ///
    /// # Errors
    /// Another router took one of the partitions, or the database stays away.
    pub async fn write(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        let batch = Batch::new(writes, self.partitions);
        let since = Instant::now();
        let mut pause = PAUSE_MIN;
        loop {
            // Doing it twice, because a commit's answer was lost, changes nothing but revisions.
            match self.try_write(&batch).await {
                Err(StoreError::Database(error)) if passes(&error) && since.elapsed() < AWAY_MAX => {
                    warn!(%error, "the store did not take a transaction: it is tried again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                result => return result,
            }
        }
    }

    async fn try_write(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut transaction = self.begin(batch.must_survive).await?;
        match self.fill(&mut transaction, batch).await {
            Ok(()) => Ok(transaction.commit().await?),
            Err(error) => {
                // At once: what is dropped is rolled back when the connection is used next, and holds its locks until then.
                let _ = transaction.rollback().await;
                Err(error)
            }
        }
    }

    async fn fill(&self, transaction: &mut Transaction<'static, Any>, batch: &Batch) -> Result<(), StoreError> {
        self.still_ours(transaction, &batch.partitions).await?;
        for statement in batch.statements() {
            let mut query = sqlx::query(AssertSqlSafe(statement.sql)).persistent(false);
            for value in statement.values {
                query = match value {
                    Value::Text(text) => query.bind(text),
                    Value::Number(number) => query.bind(number),
                };
            }
            query.execute(&mut **transaction).await?;
        }
        Ok(())
    }

    fn epochs(&self) -> std::sync::MutexGuard<'_, BTreeMap<i32, u64>> {
        self.epochs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn begin(&self, must_survive: bool) -> Result<Transaction<'static, Any>, StoreError> {
        // Waiting for the disk costs milliseconds, and seconds when it is busy: only where it has to be.
        match self.dialect {
            Dialect::Sqlite => {
                let synchronous = match must_survive {
                    true => "PRAGMA synchronous = FULL",
                    false => "PRAGMA synchronous = NORMAL",
                };
                // One connection: what is set here holds for the transaction that follows.
                self.pool.execute(synchronous).await?;
                // A transaction that reads first and then wants to write could find another writer in between.
                Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?)
            }
            Dialect::Postgres => {
                let mut transaction = self.pool.begin().await?;
                if !must_survive {
                    transaction.execute("SET LOCAL synchronous_commit = off").await?;
                }
                Ok(transaction)
            }
        }
    }

    async fn still_ours(
        &self,
        transaction: &mut Transaction<'static, Any>,
        partitions: &BTreeSet<i32>,
    ) -> Result<(), StoreError> {
        if partitions.is_empty() {
            return Ok(());
        }
        let lock = match self.dialect {
            // The transaction is the only one that writes.
            Dialect::Sqlite => "",
            Dialect::Postgres => " FOR SHARE",
        };
        let sql = format!(
            "SELECT part, epoch, name FROM owners WHERE part IN ({}) ORDER BY part{lock}",
            list(partitions)
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut **transaction).await?;
        let owners: BTreeMap<i32, (u64, String)> = rows
            .iter()
            .map(|row| (part(row, 0), (number(row, 1), row.get(2))))
            .collect();
        let epochs = self.epochs();
        for partition in partitions {
            let ours = epochs.get(partition).copied().unwrap_or(0);
            let (epoch, by) = owners.get(partition).cloned().unwrap_or_default();
            if ours == 0 || epoch != ours {
                return Err(StoreError::Fenced {
                    partition: *partition,
                    epoch,
                    ours,
                    by,
                });
            }
        }
        Ok(())
    }

    /// Make the tables, or bring older ones to this version, in one transaction.
    async fn prepare(&self) -> Result<(), StoreError> {
        let mut transaction = self.begin(true).await?;
        if self.dialect == Dialect::Postgres {
            // Two routers that start at once make the tables one after the other. The number is ours alone.
            transaction.execute("SELECT pg_advisory_xact_lock(6653002026)").await?;
        }
        transaction
            .execute("CREATE TABLE IF NOT EXISTS meta (version BIGINT NOT NULL)")
            .await?;
        let found: Option<i64> = sqlx::query("SELECT version FROM meta")
            .fetch_optional(&mut *transaction)
            .await?
            .map(|row| row.get(0));
        match found {
            Some(SCHEMA_VERSION) => {}
            Some(1) => self.bring_up_version_1(&mut transaction).await?,
            Some(found) => {
                return Err(StoreError::Newer {
                    found,
                    known: SCHEMA_VERSION,
                });
            }
            None => self.create(&mut transaction).await?,
        }
        let found: i64 = sqlx::query("SELECT partitions FROM meta")
            .fetch_one(&mut *transaction)
            .await?
            .get(0);
        if found != i64::from(self.partitions) {
            return Err(StoreError::Partitions {
                found,
                configured: self.partitions,
            });
        }
        transaction.commit().await?;
        Ok(())
    }

    async fn create(&self, transaction: &mut Transaction<'static, Any>) -> Result<(), StoreError> {
        for statement in [
            "ALTER TABLE meta ADD COLUMN partitions BIGINT NOT NULL DEFAULT 0",
            "CREATE TABLE owners (part BIGINT PRIMARY KEY, epoch BIGINT NOT NULL, name TEXT NOT NULL, address TEXT NOT NULL)",
            "CREATE TABLE objects (kind TEXT NOT NULL, id TEXT NOT NULL, part BIGINT NOT NULL, revision BIGINT NOT NULL, \
             body TEXT NOT NULL, PRIMARY KEY (kind, id))",
            "CREATE INDEX objects_of_part ON objects (part)",
        ] {
            transaction.execute(statement).await?;
        }
        sqlx::query("INSERT INTO meta (version, partitions) VALUES ($1, $2)")
            .bind(SCHEMA_VERSION)
            .bind(i64::from(self.partitions))
            .execute(&mut **transaction)
            .await?;
        Ok(())
    }

    /// The one router's owner epoch becomes that of every partition.
    async fn bring_up_version_1(&self, transaction: &mut Transaction<'static, Any>) -> Result<(), StoreError> {
        let rows = sqlx::query("SELECT kind, id, revision, body FROM objects")
            .fetch_all(&mut **transaction)
            .await?;
        transaction.execute("DROP TABLE objects").await?;
        transaction.execute("DELETE FROM meta").await?;
        self.create(transaction).await?;
        for old in rows.iter().map(stored) {
            if (old.kind.as_str(), old.id.as_str()) == ("meta", "owner_epoch") {
                for partition in 0..self.partitions {
                    sqlx::query("INSERT INTO owners (part, epoch, name, address) VALUES ($1, $2, '', '')")
                        .bind(i64::from(partition))
                        .bind(old.body.parse::<i64>().unwrap_or(0))
                        .execute(&mut **transaction)
                        .await?;
                }
                continue;
            }
            sqlx::query("INSERT INTO objects (kind, id, part, revision, body) VALUES ($1, $2, $3, $4, $5)")
                .bind(old.kind.as_str())
                .bind(old.id.as_str())
                .bind(i64::from(partition_of_object(&old.kind, &old.id, self.partitions)))
                .bind(old.revision.cast_signed())
                .bind(old.body.as_str())
                .execute(&mut **transaction)
                .await?;
        }
        Ok(())
    }
}

impl Dialect {
    /// What every connection is told first.
    fn at_connect(self) -> &'static [&'static str] {
        match self {
            Dialect::Sqlite => &["PRAGMA busy_timeout = 5000", "PRAGMA journal_mode = WAL"],
            Dialect::Postgres => &["SET lock_timeout = '5s'"],
        }
    }
}

/// Whether the same may succeed a little later: the connection broke, the server restarts or was in another's way.
fn passes(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        // PostgreSQL, appendix A: connection exceptions, serialization failures and deadlocks, a server that stops or starts, no
        // room for one more connection; a standby that is not promoted yet. SQLite: busy.
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            ["08", "40", "57P", "53300", "25006", "55P03"]
                .iter()
                .any(|class| code.starts_with(class))
                || code == "5"
        }),
        _ => false,
    }
}

/// The URL of a file, whatever characters its path has.
fn url_of(path: &Path) -> String {
    use std::fmt::Write as _;
    let mut url = "sqlite://".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => url.push(char::from(*byte)),
            other => {
                // Writing to a String cannot fail.
                let _ = write!(url, "%{other:02x}");
            }
        }
    }
    url + "?mode=rwc"
}

/// Partitions as SQL: numbers, so that nothing has to be quoted.
fn list(partitions: &BTreeSet<i32>) -> String {
    let numbers: Vec<String> = partitions.iter().map(i32::to_string).collect();
    numbers.join(", ")
}

fn stored(row: &AnyRow) -> Stored {
    Stored {
        kind: row.get(0),
        id: row.get(1),
        revision: number(row, 2),
        body: row.get(3),
    }
}

fn number(row: &AnyRow, at: usize) -> u64 {
    row.get::<i64, _>(at).cast_unsigned()
}

fn part(row: &AnyRow, at: usize) -> i32 {
    i32::try_from(row.get::<i64, _>(at)).unwrap_or(-1)
}
