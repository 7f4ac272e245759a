//! A transaction's writes as few statements. It knows SQL and no database.

use std::collections::{BTreeMap, BTreeSet};

use super::{Write, partition_of_object};

/// Objects of one statement. Every value is a parameter, of which SQLite takes 32,766.
const ROWS_MAX: usize = 500;

/// What is to be done, each object once: writes are absolute, so the last one of an object is all that counts.
#[derive(Debug, Default)]
pub(super) struct Batch {
    put: Vec<Row>,
    delete: Vec<(&'static str, String)>,
    /// Partitions that must still be ours.
    pub(super) partitions: BTreeSet<i32>,
    /// Something of it must survive a crash of the machine.
    pub(super) must_survive: bool,
}

/// An object to be kept.
#[derive(Debug)]
struct Row {
    kind: &'static str,
    id: String,
    partition: i32,
    body: String,
}

/// A statement with its parameters.
#[derive(Debug)]
pub(super) struct Statement<'a> {
    pub(super) sql: String,
    pub(super) values: Vec<Value<'a>>,
}

/// A parameter.
#[derive(Debug)]
pub(super) enum Value<'a> {
    Text(&'a str),
    Number(i64),
}

impl Batch {
    pub(super) fn new(writes: Vec<Write>, partitions: i32) -> Self {
        let mut batch = Batch::default();
        let mut last: BTreeMap<(&'static str, String), Option<String>> = BTreeMap::new();
        for write in writes {
            batch.must_survive |= write.must_survive();
            match write {
                Write::Put { kind, id, body } => last.insert((kind, id), Some(body)),
                Write::Delete { kind, id } => last.insert((kind, id), None),
            };
        }
        for ((kind, id), body) in last {
            let partition = partition_of_object(kind, &id, partitions);
            batch.partitions.insert(partition);
            match body {
                Some(body) => batch.put.push(Row {
                    kind,
                    id,
                    partition,
                    body,
                }),
                None => batch.delete.push((kind, id)),
            }
        }
        batch
    }

    /// The statements, in any order.
    pub(super) fn statements(&self) -> Vec<Statement<'_>> {
        let mut statements = Vec::new();
        for rows in self.put.chunks(ROWS_MAX) {
            let sql = format!(
                "INSERT INTO objects (kind, id, part, revision, body) VALUES {} \
                 ON CONFLICT (kind, id) DO UPDATE SET revision = objects.revision + 1, body = excluded.body",
                places(rows.len(), 4, ", ", |n| format!(
                    "(${}, ${}, ${}, 1, ${})",
                    n,
                    n + 1,
                    n + 2,
                    n + 3
                ))
            );
            let values = rows
                .iter()
                .flat_map(|row| {
                    [
                        Value::Text(row.kind),
                        Value::Text(&row.id),
                        Value::Number(i64::from(row.partition)),
                        Value::Text(&row.body),
                    ]
                })
                .collect();
            statements.push(Statement { sql, values });
        }
        for rows in self.delete.chunks(ROWS_MAX) {
            let sql = format!(
                "DELETE FROM objects WHERE {}",
                places(rows.len(), 2, " OR ", |n| format!(
                    "(kind = ${} AND id = ${})",
                    n,
                    n + 1
                ))
            );
            let values = rows
                .iter()
                .flat_map(|(kind, id)| [Value::Text(kind), Value::Text(id)])
                .collect();
            statements.push(Statement { sql, values });
        }
        statements
    }
}

/// The places of so many rows; `row` is given the number of its first parameter.
fn places(rows: usize, columns: usize, between: &str, row: impl Fn(usize) -> String) -> String {
    let rows: Vec<String> = (0..rows).map(|at| row(at * columns + 1)).collect();
    rows.join(between)
}
