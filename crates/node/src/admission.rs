//! What every request that writes must pass before it is decoded.

use watershed_actors::Permit;
use watershed_schema::TenantId;
use watershed_schema::limits::MESSAGE_BYTES_MAX;

use crate::drain::Drain;
use crate::ingest::Intake;
use crate::refusal::Refusal;

pub(crate) fn admit(intake: &Intake, drain: &Drain, tenant: &TenantId, bytes: usize) -> Result<Permit, Refusal> {
    drain.refuse_if_begun()?;
    if bytes > MESSAGE_BYTES_MAX {
        return Err(Refusal::Invalid(format!("request has {bytes} bytes, limit {MESSAGE_BYTES_MAX}")));
    }
    intake.rates.check(tenant)?;
    Ok(intake.node.budget().admit(bytes)?)
}
