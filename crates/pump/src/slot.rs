//! The replication slot: that it is there, is ours to use, and where the stream begins.

use crate::connection::{Connection, TextRow};
use crate::{PumpError, Settings};

/// Which server and database the changes are of. LSNs of two servers may be equal, these are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The cluster's identifier, made when it was initialised.
    pub(crate) cluster: String,
    pub(crate) database: String,
}

pub(crate) async fn origin(connection: &mut Connection) -> Result<Origin, PumpError> {
    let rows = connection.query("IDENTIFY_SYSTEM").await?;
    let value = |place: usize| rows.first().and_then(|row| row.get(place).cloned().flatten());
    let (cluster, database) = (value(0), value(3));
    let told = cluster.zip(database).map(|(cluster, database)| Origin { cluster, database });
    told.ok_or_else(|| PumpError::Protocol("IDENTIFY_SYSTEM names no database".to_owned()))
}

/// Finds the slot or, if it may, creates it.
pub(crate) async fn ensure(connection: &mut Connection, settings: &Settings, origin: &Origin) -> Result<(), PumpError> {
    let slot = &settings.slot;
    let found = "SELECT plugin, database, wal_status FROM pg_catalog.pg_replication_slots WHERE slot_name";
    match connection.query(&format!("{found} = '{slot}'")).await?.first() {
        Some(row) => check(slot, row, origin),
        None if settings.create_slot => {
            connection.query(&format!("CREATE_REPLICATION_SLOT \"{slot}\" LOGICAL wal2json NOEXPORT_SNAPSHOT")).await?;
            tracing::info!(%slot, "created");
            Ok(())
        }
        None => Err(PumpError::SlotMissing(slot.clone())),
    }
}

fn check(slot: &str, row: &TextRow, origin: &Origin) -> Result<(), PumpError> {
    let value = |place: usize| row.get(place).and_then(Option::as_deref).unwrap_or("nothing");
    let (plugin, database) = (value(0), value(1));
    if (plugin, database) != ("wal2json", &origin.database) {
        let of = format!("{plugin} in database `{database}`");
        return Err(PumpError::SlotForeign { slot: slot.to_owned(), of, database: origin.database.clone() });
    }
    if value(2) == "lost" { Err(PumpError::SlotLost(slot.to_owned())) } else { Ok(()) }
}

/// The command that begins the stream, at the position that the slot has confirmed.
/// Options: <https://github.com/eulerto/wal2json#parameters>.
pub(crate) fn start_command(settings: &Settings) -> String {
    let mut options = vec![("format-version", "2".to_owned())];
    for on in ["include-lsn", "include-xids", "include-timestamp", "include-pk", "include-transaction"] {
        options.push((on, "on".to_owned()));
    }
    if !settings.tables.is_empty() {
        options.push(("add-tables", settings.tables.join(",")));
    }
    let options: Vec<_> = options.iter().map(|(name, value)| format!("\"{name}\" '{}'", value.replace('\'', "''"))).collect();
    format!("START_REPLICATION SLOT \"{}\" LOGICAL 0/0 ({})", settings.slot, options.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_begins_with_a_quoted_list_of_options() {
        let mut settings = Settings::new("postgres://db", "s", "http://n");
        assert!(start_command(&settings).starts_with("START_REPLICATION SLOT \"s\" LOGICAL 0/0 (\"format-version\" '2', "));
        settings.tables = vec!["public.o'clock".into(), "shop.*".into()];
        assert!(start_command(&settings).ends_with("\"add-tables\" 'public.o''clock,shop.*')"));
    }

    #[test]
    fn a_slot_of_others_is_not_touched() {
        let origin = Origin { cluster: "7".into(), database: "shop".into() };
        let row = |texts: [&str; 3]| texts.map(|text| Some(text.to_owned())).to_vec();
        assert!(check("s", &row(["wal2json", "shop", "reserved"]), &origin).is_ok());
        let foreign = check("s", &row(["pgoutput", "shop", "reserved"]), &origin).unwrap_err().to_string();
        assert!(foreign.contains("is of pgoutput"), "{foreign}");
        assert!(matches!(check("s", &row(["wal2json", "else", "reserved"]), &origin), Err(PumpError::SlotForeign { .. })));
        assert!(matches!(check("s", &row(["wal2json", "shop", "lost"]), &origin), Err(PumpError::SlotLost(_))));
    }
}
