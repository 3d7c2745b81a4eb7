//! Plays `sqllogictests/<world>/*.slt` over a real socket.
//!
//! `connection NAME` selects the principal for the record below it (`analyst` without one); `NAME.2` is a second session of the same
//! login. `statement error (42501)` expects that SQLSTATE. NULL is shown as `NULL`, an empty text as `(empty)`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use sqllogictest::{AsyncDB, Connection, DBOutput, DefaultColumnType, MakeConnection, Record, Runner, parse_file};
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::gateway::{World, login, repository};

struct Session {
    client: Client,
}

#[async_trait::async_trait]
impl AsyncDB for Session {
    type Error = tokio_postgres::Error;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Self::Error> {
        let (mut types, mut rows, mut count) = (None, Vec::new(), 0);
        for message in self.client.simple_query(sql).await? {
            match message {
                SimpleQueryMessage::RowDescription(columns) => types = Some(vec![DefaultColumnType::Any; columns.len()]),
                SimpleQueryMessage::Row(row) => rows.push((0..row.len()).map(|index| shown(row.get(index))).collect()),
                SimpleQueryMessage::CommandComplete(affected) => count = affected,
                _ => {}
            }
        }
        Ok(match types {
            Some(types) => DBOutput::Rows { types, rows },
            None => DBOutput::StatementComplete(count),
        })
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        "meshgate"
    }

    fn error_sql_state(error: &Self::Error) -> Option<String> {
        error.code().map(|state| state.code().to_owned())
    }
}

fn shown(value: Option<&str>) -> String {
    match value {
        None => "NULL".to_owned(),
        Some("") => "(empty)".to_owned(),
        Some(text) => text.to_owned(),
    }
}

fn runner(address: SocketAddr, name: &str) -> Runner<Session, impl MakeConnection<Conn = Session> + use<>> {
    let user = name.split('.').next().unwrap_or(name).to_owned();
    Runner::new(move || {
        let user = user.clone();
        async move { Ok(Session { client: login(address, &user).await? }) }
    })
}

fn connection_of(record: &Record<DefaultColumnType>) -> &str {
    match record {
        Record::Statement { connection: Connection::Named(name), .. }
        | Record::Query { connection: Connection::Named(name), .. }
        | Record::Let { connection: Connection::Named(name), .. } => name,
        _ => "analyst",
    }
}

/// Plays the files of a folder below `sqllogictests`; all faults are reported, not only the first.
pub(crate) async fn play(folder: &str, address: SocketAddr) {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(repository().join("sqllogictests").join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "slt"));
    files.sort();
    assert!(!files.is_empty(), "no .slt file in sqllogictests/{folder}");
    let mut faults = Vec::new();
    for file in files {
        let mut runners = HashMap::new();
        for record in parse_file::<DefaultColumnType>(&file).unwrap() {
            let name = connection_of(&record).to_owned();
            let runner = runners.entry(name.clone()).or_insert_with(|| runner(address, &name));
            if let Err(fault) = runner.run_async(record).await {
                faults.push(fault.display(false).to_string());
            }
        }
    }
    assert!(faults.is_empty(), "{} faults\n\n{}", faults.len(), faults.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quickstart_answers_as_its_files_say() {
    let world = World::quickstart();
    let gateway = world.serve().await;
    play("quickstart", gateway.address()).await;
    play("clients", gateway.address()).await;
    gateway.stop().await;
}
