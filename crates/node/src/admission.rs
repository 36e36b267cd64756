//! What every request that writes must pass before it is decoded.

use watershed_actors::{Node, Permit};
use watershed_schema::limits::MESSAGE_BYTES_MAX;

use crate::drain::Drain;
use crate::refusal::Refusal;

pub(crate) fn admit(node: &Node, drain: &Drain, bytes: usize) -> Result<Permit, Refusal> {
    drain.refuse_if_begun()?;
    if bytes > MESSAGE_BYTES_MAX {
        return Err(Refusal::Invalid(format!("request has {bytes} bytes, limit {MESSAGE_BYTES_MAX}")));
    }
    Ok(node.budget().admit(bytes)?)
}
