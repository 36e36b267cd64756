//! `watershed cdc`: changes of a database that this program fetches itself.

use clap::{Args, Subcommand};
use watershed_pump::{PumpError, Settings};

use crate::out::{self, Failure};
use crate::signals;

pub(crate) const EXAMPLES: &str = "Examples:
  watershed cdc postgres --url postgres://repl:secret@127.0.0.1/shop --slot watershed --create-slot
  WATERSHED_POSTGRES_URL=postgres:///shop?host=/run/postgresql watershed cdc postgres --slot watershed --table 'public.*'

The server needs `wal_level = logical` and the plugin wal2json; the role needs REPLICATION. A slot keeps the server's log
until its changes are durable here: drop a slot that nobody reads with SELECT pg_drop_replication_slot('watershed').";

#[derive(Args)]
pub(crate) struct Flags {
    #[command(subcommand)]
    database: Database,
}

#[derive(Subcommand)]
enum Database {
    /// Stream the changes of a PostgreSQL database from a wal2json slot, until SIGTERM or Ctrl-C.
    #[command(after_help = EXAMPLES)]
    Postgres(Postgres),
}

#[derive(Args)]
struct Postgres {
    /// The database: postgres://user:password@host:port/database; `?host=/folder` is a socket.
    #[arg(long, env = "WATERSHED_POSTGRES_URL", hide_env_values = true, value_name = "URL")]
    url: String,
    /// Name of the replication slot.
    #[arg(long, value_name = "NAME")]
    slot: String,
    /// Create the slot if there is none. Changes before it are not seen.
    #[arg(long)]
    create_slot: bool,
    /// Table as schema.table, `*` for all; several may be given; none is all tables.
    #[arg(long = "table", value_name = "TABLE")]
    tables: Vec<String>,
    /// HTTP address of a node.
    #[arg(long, env = "WATERSHED_HTTP_ENDPOINT", default_value = "http://127.0.0.1:4318", value_name = "URL")]
    to: String,
    /// Tenant to speak for.
    #[arg(long, env = "WATERSHED_TENANT", value_name = "NAME")]
    tenant: Option<String>,
    /// Go on when the node says that a change is not acceptable, instead of ending.
    #[arg(long)]
    skip_rejected: bool,
}

impl Postgres {
    fn settings(self) -> Settings {
        let mut settings = Settings::new(self.url, self.slot, self.to);
        settings.create_slot = self.create_slot;
        settings.tables = self.tables;
        settings.headers.extend(self.tenant.map(|tenant| ("x-scope-orgid".to_owned(), tenant)));
        settings.skip_rejected = self.skip_rejected;
        settings
    }
}

pub(crate) async fn run(flags: Flags) -> Result<(), Failure> {
    watershed_node::init_telemetry(&watershed_node::Config::default()).map_err(Failure::Usage)?;
    let Database::Postgres(postgres) = flags.database;
    let report = watershed_pump::run(postgres.settings(), signals::asked_to_end()?).await?;
    out::say(&format!(
        "{} changes in {} requests, {} passed over; the slot is confirmed up to {}",
        report.changes, report.requests, report.rejected, report.confirmed
    ));
    Ok(())
}

impl From<PumpError> for Failure {
    fn from(error: PumpError) -> Self {
        match error {
            PumpError::Setting { .. } => Self::Usage(error.into()),
            error => Self::Refused(error.into()),
        }
    }
}
