//! Tables of single tenants: their names, and which there are.
//!
//! The shared table's properties name them, so a snapshot and the word which tables stand beside it come in one answer of the
//! catalog. A table is made before it is named, and named before a file is written for it.

use iceberg::TableIdent;
use iceberg::table::Table;
use watershed_schema::TenantId;

use crate::{EventTable, LakeError};

/// Property of the shared table, followed by the name of an own table; its value is the tenant.
const OWN: &str = "watershed.own.";
/// Folders of a file system end at 255 bytes, and so do names in most catalogs.
const NAME_BYTES_MAX: usize = 200;

/// Name of a tenant's table: `events_` and the tenant, of which `[a-z0-9]` stay and every other byte is `_` with two hex
/// digits. Catalogs fold cases and allow few signs; two tenants never have one name.
///
/// # Errors
/// [`TableNameTooLong`].
pub fn table_name(tenant: &TenantId) -> Result<String, TableNameTooLong> {
    let mut name = "events_".to_owned();
    for byte in tenant.as_str().bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' => name.push(char::from(byte)),
            other => name.push_str(&format!("_{other:02x}")),
        }
    }
    if name.len() <= NAME_BYTES_MAX { Ok(name) } else { Err(TableNameTooLong { tenant: tenant.clone(), bytes: name.len() }) }
}

/// A tenant whose name is too long for a table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("tenant {tenant}: the name of its table would have {bytes} bytes, at most {NAME_BYTES_MAX} are allowed")]
pub struct TableNameTooLong {
    /// The tenant.
    pub tenant: TenantId,
    /// Length of the name.
    pub bytes: usize,
}

impl EventTable {
    /// A table beside this one.
    pub(crate) fn beside(&self, name: &str, tenant: TenantId) -> Self {
        let ident = TableIdent::new(self.ident.namespace().clone(), name.to_owned());
        Self { ident, tenant: Some(tenant), ..self.clone() }
    }

    /// Tables of single tenants that this one, as it was read, names; by name.
    pub(crate) fn own_tables(&self, shared: &Table) -> Result<Vec<Self>, LakeError> {
        let named = shared.metadata().properties().iter().filter_map(|(key, tenant)| Some((key.strip_prefix(OWN)?, tenant)));
        let table = |(name, tenant): (&str, &String)| {
            let tenant = TenantId::new(tenant).map_err(|error| LakeError::Foreign(format!("{OWN}{name}: {error}")))?;
            Ok(self.beside(name, tenant))
        };
        let mut tables = named.map(table).collect::<Result<Vec<_>, LakeError>>()?;
        tables.sort_by(|a, b| a.name().cmp(b.name()));
        Ok(tables)
    }

    /// The table of a tenant, if this one, as it was read, names one.
    pub(crate) fn own_of(&self, shared: &Table, tenant: &TenantId) -> Result<Option<Self>, LakeError> {
        let Ok(name) = table_name(tenant) else { return Ok(None) };
        let Some(named) = shared.metadata().properties().get(&format!("{OWN}{name}")) else { return Ok(None) };
        if named != tenant.as_str() {
            return Err(LakeError::Foreign(format!("{OWN}{name} is {named}, it should be {tenant}")));
        }
        Ok(Some(self.beside(&name, tenant.clone())))
    }

    /// Names a table of a single tenant, once it is there.
    pub(crate) async fn name_own(&self, own: &Self) -> Result<(), LakeError> {
        let (shared, tenant) = (self.load().await?, own.tenant.as_ref().map_or("", TenantId::as_str));
        let key = format!("{OWN}{}", own.name());
        if shared.metadata().properties().contains_key(&key) {
            return Ok(());
        }
        tracing::info!(tenant, table = own.name(), "the tenant has a table of its own");
        self.set(shared, &[(key.as_str(), tenant)]).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(tenant: &str) -> String {
        table_name(&TenantId::new(tenant).expect("a tenant")).expect("short")
    }

    #[test]
    fn a_name_is_safe_for_catalogs_and_one_tenants_alone() {
        assert_eq!(name("acme"), "events_acme");
        assert_eq!(name("Acme-2_x.y"), "events__41cme_2d2_5fx_2ey");
        assert_ne!(name("a_2d"), name("a-"));
        assert_ne!(name("ACME"), name("acme"));
        let longest = "a".repeat(watershed_schema::limits::TENANT_BYTES_MAX);
        assert!(name(&longest).len() <= NAME_BYTES_MAX);
        let long = TenantId::new(&"-".repeat(100)).expect("a tenant");
        assert_eq!(table_name(&long).expect_err("too long").bytes, 307);
    }
}
