//! Nodes as real processes: this program starts itself.

mod calls;
mod child;
mod crossing;
mod faults;
mod mtls;
mod node;
mod strangers;
mod wire;

/// Not a test of its own: what the processes of the other tests run.
#[test]
fn child() {
    if std::env::var_os(node::CHILD).is_some() {
        child::run();
    }
}
