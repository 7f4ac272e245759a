//! The store in one SQLite file.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, Row, SqlitePool as Pool};

use super::{Store, StoreError, Stored, Write};

/// The schema this version writes.
const SCHEMA_VERSION: i64 = 1;

/// A SQLite file. Opened by one router at a time: the write-ahead log is kept beside it.
#[derive(Debug, Clone)]
pub struct Sqlite {
    pool: Pool,
}

impl Sqlite {
    /// Open the file, making it and its schema if it is not there.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            // A crash of the process loses nothing with a write-ahead log. A crash of the machine may lose the last
            // transactions with NORMAL; for what cannot be learned again see `must_survive`.
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(Duration::from_secs(5));
        // One connection: one writer, and reads happen only at the start.
        let pool: SqlitePool = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options)
            .await?;
        sqlx::query("CREATE TABLE IF NOT EXISTS meta (version INTEGER NOT NULL)")
            .execute(&pool)
            .await?;
        let version: Option<i64> = sqlx::query("SELECT version FROM meta")
            .fetch_optional(&pool)
            .await?
            .map(|row| row.get(0));
        match version {
            Some(found) if found > SCHEMA_VERSION => {
                return Err(StoreError::Newer {
                    found,
                    known: SCHEMA_VERSION,
                });
            }
            Some(_) => {}
            None => {
                sqlx::query("INSERT INTO meta (version) VALUES (?)")
                    .bind(SCHEMA_VERSION)
                    .execute(&pool)
                    .await?;
            }
        }
        sqlx::query(
            "CREATE TABLE IF NOT EXISTS objects (
                kind TEXT NOT NULL, id TEXT NOT NULL, revision INTEGER NOT NULL, owner TEXT NOT NULL,
                body TEXT NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID",
        )
        .execute(&pool)
        .await?;
        Ok(Sqlite { pool })
    }
}

/// Whether this has to survive a crash of the machine as soon as it was said: what a client asked for, and who we are. Presence,
/// links, generations and SLA states are learned again from the regions.
fn must_survive(write: &Write) -> bool {
    let (Write::Put { kind, .. } | Write::Delete { kind, .. }) = write;
    matches!(*kind, "flow" | "operation" | "meta" | "features")
}

impl Store for Sqlite {
    async fn load(&self) -> Result<Vec<Stored>, StoreError> {
        let rows = sqlx::query("SELECT kind, id, revision, owner, body FROM objects ORDER BY kind, id")
            .fetch_all(&self.pool)
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| Stored {
                kind: row.get(0),
                id: row.get(1),
                revision: row.get::<i64, _>(2) as u64,
                owner: row.get(3),
                body: row.get(4),
            })
            .collect())
    }

    async fn write(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        let mut connection = self.pool.acquire().await?;
        // Waiting for the disk costs milliseconds, and seconds when it is busy: only where it has to be.
        let synchronous = if writes.iter().any(must_survive) {
            "PRAGMA synchronous = FULL"
        } else {
            "PRAGMA synchronous = NORMAL"
        };
        sqlx::query(synchronous).execute(&mut *connection).await?;
        let mut transaction = connection.begin().await?;
        for write in writes {
            match write {
                Write::Put { kind, id, body } => {
                    sqlx::query(
                        "INSERT INTO objects (kind, id, revision, owner, body) VALUES (?, ?, 1, 'router', ?)
                         ON CONFLICT (kind, id) DO UPDATE SET revision = revision + 1, body = excluded.body",
                    )
                    .bind(kind)
                    .bind(id)
                    .bind(body)
                    .execute(&mut *transaction)
                    .await?;
                }
                Write::Delete { kind, id } => {
                    sqlx::query("DELETE FROM objects WHERE kind = ? AND id = ?")
                        .bind(kind)
                        .bind(id)
                        .execute(&mut *transaction)
                        .await?;
                }
            }
        }
        transaction.commit().await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(kind: &'static str, id: &str, body: &str) -> Write {
        Write::Put {
            kind,
            id: id.into(),
            body: body.into(),
        }
    }

    #[tokio::test]
    async fn what_was_written_is_there_after_opening_again_and_revisions_grow() {
        let folder = std::env::temp_dir().join(format!("skerry-store-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        let path = folder.join("router.db");
        {
            let store = Sqlite::open(&path).await.expect("opens");
            store
                .write(vec![put("flow", "a", "{}"), put("flow", "b", "{\"x\":1}")])
                .await
                .expect("writes");
            store
                .write(vec![
                    put("flow", "a", "{\"y\":2}"),
                    Write::Delete {
                        kind: "flow",
                        id: "b".into(),
                    },
                ])
                .await
                .expect("writes");
        }
        let store = Sqlite::open(&path).await.expect("opens again");
        let all = store.load().await.expect("loads");
        assert_eq!(all.len(), 1, "{all:?}");
        assert_eq!(
            (all[0].id.as_str(), all[0].revision, all[0].body.as_str()),
            ("a", 2, "{\"y\":2}")
        );

        sqlx::query("UPDATE meta SET version = 99")
            .execute(&store.pool)
            .await
            .expect("sets");
        store.pool.close().await;
        let error = Sqlite::open(&path)
            .await
            .expect_err("a newer schema is refused")
            .to_string();
        assert!(error.contains("99"), "{error}");
        std::fs::remove_dir_all(&folder).expect("removes what it made");
    }
}
