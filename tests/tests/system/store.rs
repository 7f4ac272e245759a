//! Where routers keep their state: a file and a PostgreSQL keep the same promises, and a router stands a database that restarts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use skerry_bus::SwitchId;
use skerry_bus::topic::partition_of;
use skerry_router::store::{Database, Instance, Location, NETWORK, StoreError, Stored, Write, partition_of_object};
use skerry_tests::daemons::{ANY_PORT, Daemons};
use skerry_tests::lab::Lab;
use skerry_tests::ovs::{Controllers, Ovs};
use skerry_tests::postgres::Postgres;
use skerry_tests::wait::{self, DEADLINE};

use crate::Need::{Ovs as NeedOvs, Postgres as NeedPostgres};
use crate::world::{add_bridge, endpoint, flow, settled, unharmed};
use crate::{PREFIX, Test};

pub const TESTS: &[Test] = &[
    Test("store::a_file_keeps_its_promises", &[], file),
    Test(
        "store::a_file_of_the_first_version_is_brought_up_and_a_newer_one_refused",
        &[],
        versions,
    ),
    Test("store::postgresql_keeps_its_promises", &[NeedPostgres], postgres),
    Test(
        "store::a_router_goes_on_when_its_postgresql_restarts_and_after_its_own_end",
        &[NeedPostgres, NeedOvs],
        router,
    ),
    Test(
        "store::a_second_router_on_the_same_store_ends_the_first_with_the_cause",
        &[],
        second,
    ),
];

const PARTITIONS: i32 = 4;
const REGION: &str = "east";

/// A promise, on a database of its own.
type Promise = fn(&Location) -> Result<()>;

const PROMISES: &[(&str, Promise)] = &[
    ("opened_again", opened_again),
    ("taken", taken),
    ("refused_whole", refused_whole),
    ("last_counts", last_counts),
    ("thousands", thousands),
    ("other_partitions", other_partitions),
    ("two_at_once", two_at_once),
];

fn file() -> Result<()> {
    let lab = Lab::new(PREFIX)?;
    for (name, promise) in PROMISES {
        // Characters that a URL would take for something else.
        let path = lab.folder().join(format!("{name} #1?%.db"));
        promise(&Location::File(path.clone())).context(*name)?;
        ensure!(path.is_file(), "{name}: the file has another name");
    }
    Ok(())
}

fn postgres() -> Result<()> {
    let lab = Lab::new(PREFIX)?;
    let server = Postgres::start(&lab)?;
    for (name, promise) in PROMISES {
        promise(&Location::Postgres(server.database(name)?)).context(*name)?;
    }
    Ok(())
}

// ---- the promises ----------------------------------------------------------------------------------------------

/// A database, for a test that has no tasks.
struct Store(Database, tokio::runtime::Runtime);

impl Store {
    fn open(at: &Location, partitions: i32) -> Result<Store, StoreError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let database = runtime.block_on(Database::open(at, partitions))?;
        Ok(Store(database, runtime))
    }

    /// All objects, in a new owner epoch.
    fn take(&self, partitions: impl IntoIterator<Item = i32>, name: &str) -> Result<(BTreeMap<i32, u64>, Vec<Stored>)> {
        let partitions = partitions.into_iter().collect();
        let taken = self.1.block_on(self.0.take(&partitions, &instance(name)))?;
        Ok((taken.epochs, taken.stored))
    }

    fn write(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.1.block_on(self.0.write(writes))
    }
}

fn instance(name: &str) -> Instance {
    Instance {
        name: name.into(),
        address: format!("{name}:8080"),
    }
}

fn put(kind: &'static str, id: &str, body: &str) -> Write {
    Write::Put {
        kind,
        id: id.into(),
        body: body.into(),
    }
}

fn delete(kind: &'static str, id: &str) -> Write {
    Write::Delete { kind, id: id.into() }
}

/// A switch whose partition is not the network's.
fn elsewhere() -> String {
    let mut ids = (1..).map(|n| SwitchId(n).to_string());
    ids.find(|id| partition_of(id, PARTITIONS) != NETWORK)
        .expect("one of many")
}

fn opened_again(at: &Location) -> Result<()> {
    {
        let store = Store::open(at, PARTITIONS)?;
        store.take(0..PARTITIONS, "a")?;
        store.write(vec![put("flow", "a", "{}"), put("flow", "b", "{\"x\":1}")])?;
        store.write(vec![put("flow", "a", "{\"y\":2}"), delete("flow", "b")])?;
    }
    let store = Store::open(at, PARTITIONS)?;
    let (epochs, stored) = store.take(0..PARTITIONS, "b")?;
    ensure!(epochs == (0..PARTITIONS).map(|p| (p, 2)).collect(), "{epochs:?}");
    let seen: Vec<_> = stored
        .iter()
        .map(|s| (s.id.as_str(), s.revision, s.body.as_str()))
        .collect();
    ensure!(seen == [("a", 2, "{\"y\":2}")], "{stored:?}");
    let owners = store.1.block_on(store.0.owners())?;
    ensure!(
        owners[&3].instance == instance("b") && owners[&3].epoch == 2,
        "{owners:?}"
    );
    Ok(())
}

fn taken(at: &Location) -> Result<()> {
    let first = Store::open(at, PARTITIONS)?;
    first.take(0..PARTITIONS, "first")?;
    let mut written = vec![put("flow", "f", "{}")];
    for n in 1..=20_u64 {
        let switch = SwitchId(n).to_string();
        written.push(put("generation", &switch, "7"));
        written.push(put("object", &format!("{switch} group 5"), "{}"));
    }
    first.write(written.clone())?;

    let second = Store::open(at, PARTITIONS)?;
    let mine = BTreeSet::from([1, 2]);
    let (epochs, stored) = second.take(mine.clone(), "second")?;
    ensure!(epochs == BTreeMap::from([(1, 2), (2, 2)]), "{epochs:?}");
    let moved = |write: &Write| {
        let (kind, id) = write.object();
        mine.contains(&partition_of_object(kind, id, PARTITIONS))
    };
    let (moved, kept): (Vec<_>, Vec<_>) = written.into_iter().partition(|w| moved(w));
    let names = |(kind, id): (&str, &str)| (kind.to_owned(), id.to_owned());
    let expected: BTreeSet<_> = moved.iter().map(|w| names(w.object())).collect();
    let seen: BTreeSet<_> = stored.iter().map(|s| names((&s.kind, &s.id))).collect();
    ensure!(
        expected.len() >= 6 && seen == expected,
        "{seen:?}\nwanted\n{expected:?}"
    );

    // What the first still owns goes on, what it does not is refused, object by object.
    first.write(kept)?;
    for write in moved.clone() {
        let error = first.write(vec![write]).expect_err("not its own any more").to_string();
        ensure!(
            error.contains("was taken by router second (owner epoch 2, ours was 1)"),
            "{error}"
        );
    }
    second.write(moved.clone())?;
    let stranger = Store::open(at, PARTITIONS)?;
    let error = stranger
        .write(vec![put("flow", "f", "{}")])
        .expect_err("never took it")
        .to_string();
    ensure!(error.contains("partition 0 was taken by router first"), "{error}");
    second.0.give_up(&mine);
    ensure!(second.write(moved).is_err(), "what was given up was written");
    Ok(())
}

fn refused_whole(at: &Location) -> Result<()> {
    let first = Store::open(at, PARTITIONS)?;
    first.take(0..PARTITIONS, "first")?;
    let second = Store::open(at, PARTITIONS)?;
    second.take([NETWORK], "second")?;
    let writes = vec![put("generation", &elsewhere(), "1"), put("flow", "f", "{}")];
    ensure!(first.write(writes).is_err(), "the network is not its own");
    let (_, stored) = second.take(0..PARTITIONS, "second")?;
    ensure!(stored.is_empty(), "half of it was written: {stored:?}");
    Ok(())
}

fn last_counts(at: &Location) -> Result<()> {
    let store = Store::open(at, PARTITIONS)?;
    store.take(0..PARTITIONS, "a")?;
    store.write(vec![
        put("flow", "a", "1"),
        delete("flow", "a"),
        put("flow", "a", "2"),
        put("flow", "b", "1"),
        delete("flow", "b"),
    ])?;
    let (_, stored) = store.take(0..PARTITIONS, "a")?;
    let seen: Vec<_> = stored.iter().map(|s| (s.id.as_str(), s.body.as_str())).collect();
    ensure!(seen == [("a", "2")], "{seen:?}");
    Ok(())
}

fn thousands(at: &Location) -> Result<()> {
    let store = Store::open(at, PARTITIONS)?;
    store.take(0..PARTITIONS, "a")?;
    let ids: Vec<String> = (0..2_345).map(|n| format!("flow-{n:04} \"'$1?")).collect();
    store.write(ids.iter().map(|id| put("flow", id, id)).collect())?;
    let (_, stored) = store.take(0..PARTITIONS, "a")?;
    ensure!(stored.iter().map(|s| &s.id).eq(&ids), "{} objects", stored.len());
    ensure!(stored.iter().all(|s| s.id == s.body), "bodies were mixed up");
    let (kept, gone) = ids.split_at(7);
    store.write(gone.iter().map(|id| delete("flow", id)).collect())?;
    let (_, stored) = store.take(0..PARTITIONS, "a")?;
    ensure!(stored.iter().map(|s| &s.id).eq(kept), "{stored:?}");
    Ok(())
}

fn other_partitions(at: &Location) -> Result<()> {
    drop(Store::open(at, PARTITIONS)?);
    let error = Store::open(at, 16)
        .err()
        .context("another deployment was taken")?
        .to_string();
    ensure!(
        error == "store: it was written for 4 partitions, the configuration says 16",
        "{error}"
    );
    Ok(())
}

/// Two owners of different partitions write at the same time, as fast as they can.
fn two_at_once(at: &Location) -> Result<()> {
    let switch = elsewhere();
    let first = Store::open(at, PARTITIONS)?;
    let second = Store::open(at, PARTITIONS)?;
    first.take([NETWORK], "first")?;
    second.take(1..PARTITIONS, "second")?;
    let fifty = |store: Store, kind, id: &str| -> Result<()> {
        for n in 0..50 {
            store.write(vec![put(kind, id, &n.to_string())])?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let one = scope.spawn(|| fifty(first, "flow", "f"));
        fifty(second, "generation", &switch)?;
        one.join().expect("no panic")
    })?;
    let (_, stored) = Store::open(at, PARTITIONS)?.take(0..PARTITIONS, "third")?;
    let seen: Vec<_> = stored.iter().map(|s| (s.revision, s.body.as_str())).collect();
    ensure!(seen == [(50, "49"), (50, "49")], "{seen:?}");
    Ok(())
}

fn versions() -> Result<()> {
    use sqlx::{Connection, Executor, SqliteConnection};
    let lab = Lab::new(PREFIX)?;
    let path: PathBuf = lab.folder().join("old.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let run = |statements: Vec<&'static str>| {
        runtime.block_on(async {
            let mut connection = SqliteConnection::connect_with(&options).await?;
            for statement in statements {
                connection.execute(statement).await?;
            }
            connection.close().await
        })
    };
    run(vec![
        "CREATE TABLE meta (version INTEGER NOT NULL)",
        "INSERT INTO meta VALUES (1)",
        "CREATE TABLE objects (kind TEXT NOT NULL, id TEXT NOT NULL, revision INTEGER NOT NULL, owner TEXT NOT NULL,
            body TEXT NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID",
        "INSERT INTO objects VALUES ('meta', 'owner_epoch', 8, 'router', '8'), ('flow', 'f', 3, 'router', '{}'),
            ('generation', '00:00:00:00:00:00:00:02', 4, 'router', '12')",
    ])?;
    let at = Location::File(path);
    let store = Store::open(&at, PARTITIONS)?;
    let (epochs, stored) = store.take(0..PARTITIONS, "a")?;
    ensure!(epochs == (0..PARTITIONS).map(|p| (p, 9)).collect(), "{epochs:?}");
    let seen: Vec<_> = stored
        .iter()
        .map(|s| (s.id.as_str(), s.body.as_str(), s.revision))
        .collect();
    let switch = "00:00:00:00:00:00:00:02";
    ensure!(seen == [("f", "{}", 3), (switch, "12", 4)], "{seen:?}");
    let (_, stored) = store.take([partition_of(switch, PARTITIONS)], "a")?;
    ensure!(stored.iter().any(|s| s.id == switch), "{stored:?}");
    drop(store);

    run(vec!["UPDATE meta SET version = 99"])?;
    let error = Store::open(&at, PARTITIONS)
        .err()
        .context("a newer schema was taken")?
        .to_string();
    ensure!(
        error == "store: schema version 99 is newer than 2; start the version that wrote it",
        "{error}"
    );
    Ok(())
}

// ---- routers ---------------------------------------------------------------------------------------------------

fn router() -> Result<()> {
    let lab = Lab::new(PREFIX)?;
    let mut server = Postgres::start(&lab)?;
    let daemons = Daemons::new(&lab, None)?.with_store(&server.database("skerry")?);
    let broker = daemons.broker()?;
    let speaker = daemons.speaker(REGION, ANY_PORT, "[intervals]\ndiscovery_ms = 300\n")?;
    let router = daemons.router(&[REGION], ANY_PORT, "")?;
    let rest = daemons.rest(&router);
    let ovs = Ovs::start_dummy(&lab)?;
    add_bridge(&ovs, 1, 1)?;
    ovs.set_controllers("s1", &Controllers::new([format!("tcp:{}", speaker.address)]))?;
    settled(&rest, 1, 0)?;
    let body = |vlan| json!({ "source": endpoint(1, 10, vlan), "destination": endpoint(1, 11, vlan) });
    rest.done("PUT", "/v2/flows/before", Some(&body(100)))?;

    // Asked for while the database is away: it waits, and is done when it is back.
    let ended = std::thread::scope(|scope| {
        let mut asked = None;
        server.restart(|| {
            asked = Some(scope.spawn(|| rest.done("PUT", "/v2/flows/meanwhile", Some(&body(101)))));
            wait::until("something to wait for the store", DEADLINE, || {
                match daemons.metric(&router, "skerry_router_outputs_held", "") {
                    Ok(held) if held > 0.0 => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            })
        })?;
        asked.context("nothing was asked")?.join().expect("no panic")
    });
    ended.with_context(|| router.process.last_words())?;
    unharmed(&router.process)?;

    // And after a restart of the router.
    router.process.signal(libc::SIGKILL)?;
    let again = daemons.router(&[REGION], ANY_PORT, "")?;
    let rest = daemons.rest(&again);
    settled(&rest, 1, 0)?;
    for name in ["before", "meanwhile"] {
        let flow = flow(&rest, name)?;
        ensure!(flow.status == skerry_bus::service::FlowStatus::Up, "{flow:?}");
    }
    for process in [&again.process, &speaker.process, &broker] {
        unharmed(process)?;
    }
    Ok(())
}

fn second() -> Result<()> {
    let lab = Lab::new(PREFIX)?;
    let daemons = Daemons::new(&lab, None)?;
    daemons.broker()?;
    let first = daemons.router(&[REGION], ANY_PORT, "")?;
    daemons.router(&[REGION], ANY_PORT, "")?;
    // Its next write is refused.
    let toggle = json!({ "network_sync": false });
    let _ = daemons.rest(&first).write("PATCH", "/v2/features", Some(&toggle));
    wait::until("the first router to end", DEADLINE, || {
        match first.process.is_running() {
            true => Err(first.process.last_words()),
            false => Ok(()),
        }
    })?;
    let words = first.process.last_words();
    ensure!(words.contains("was taken by router"), "{words}");
    Ok(())
}
