//! Which connection two nodes use when they have more than one.
//!
//! Both sides decide alone and come to the same end, because connections have one order that both know: the number
//! of the attempt, then the dialler. Numbers are a logical clock: a dialler takes one that is larger than all it has
//! seen from others, so whoever dials after a session broke wins over that session, whatever the wall clocks say.
//! A dialler claims its place before it sends the proof, an acceptor before it accepts: of two connections that cross,
//! the smaller finds the larger in its way on one side.

use watershed_schema::NodeId;

use crate::hello::BootId;
use crate::{Refusal, RefusalCode};

/// The order of connections between two lives of two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) attempt: u64,
    pub(crate) dialler: NodeId,
}

/// A connection that wants to be the one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) key: Key,
    /// The peer's life.
    pub(crate) boot: BootId,
    /// Whether this node dialled.
    pub(crate) dialled: bool,
}

/// Whether a candidate takes the place of the connection that is there.
pub(crate) fn elect(peer: NodeId, current: Option<&Candidate>, new: &Candidate) -> Result<(), Refusal> {
    let Some(current) = current else { return Ok(()) };
    if current.boot != new.boot {
        let reason = format!(
            "boot {} of node {peer} is connected; boot {} must wait until it is gone or take another number",
            current.boot, new.boot
        );
        return Err(Refusal::new(RefusalCode::Duplicate, reason));
    }
    // A node dials only when it has no connection; if it has got one meanwhile, that one is good.
    if new.dialled || new.key <= current.key {
        return Err(Refusal::new(RefusalCode::Superseded, format!("node {peer} has another connection")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: NodeId = NodeId(2);

    fn candidate(attempt: u64, dialler: u64, boot: u64) -> Candidate {
        Candidate { key: Key { attempt, dialler: NodeId(dialler) }, boot: BootId(boot), dialled: dialler == 1 }
    }

    fn code(current: &Candidate, new: &Candidate) -> Option<RefusalCode> {
        elect(PEER, Some(current), new).err().map(|refusal| refusal.code)
    }

    #[test]
    fn the_first_is_taken() {
        assert_eq!(elect(PEER, None, &candidate(1, 1, 7)), Ok(()));
    }

    #[test]
    fn a_later_dial_of_the_peer_wins_over_what_it_has_lost() {
        assert_eq!(code(&candidate(5, 1, 7), &candidate(6, 2, 7)), None);
        assert_eq!(code(&candidate(5, 2, 7), &candidate(6, 2, 7)), None);
    }

    #[test]
    fn connections_that_cross_have_one_winner() {
        // Node 1 claimed (4, 1) and is offered (4, 2); node 2 claimed (4, 2) and is offered (4, 1).
        assert_eq!(code(&candidate(4, 1, 7), &candidate(4, 2, 7)), None);
        let (claimed, offered) =
            (Candidate { dialled: true, ..candidate(4, 2, 7) }, Candidate { dialled: false, ..candidate(4, 1, 7) });
        assert_eq!(code(&claimed, &offered), Some(RefusalCode::Superseded));
    }

    #[test]
    fn another_life_must_wait() {
        assert_eq!(code(&candidate(5, 2, 7), &candidate(9, 2, 8)), Some(RefusalCode::Duplicate));
    }

    #[test]
    fn an_own_dial_yields_to_what_is_there() {
        assert_eq!(code(&candidate(5, 2, 7), &candidate(9, 1, 7)), Some(RefusalCode::Superseded));
    }
}
