//! The `watershed` program.

fn main() {}
