//! SQL over hot and lake. Empty so far.
//!
//! Must not know where hot rows come from.
