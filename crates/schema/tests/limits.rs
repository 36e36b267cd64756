//! A batch above its limits stops growing and says which limit it is.

#![allow(clippy::unwrap_used, reason = "tests")]

use watershed_schema::limits::{BATCH_BYTES_MAX, BATCH_ROWS_MAX, BATCH_UNFOLDED_BYTES_MAX};
use watershed_schema::{BatchBuilder, BatchError, Column, TenantId};

fn builder() -> BatchBuilder {
    BatchBuilder::new(TenantId::default(), 0)
}

/// Rows until one is not taken; more than `most` is no limit.
fn rows_until_full(builder: &mut BatchBuilder, most: usize, text: &str, is_shared: bool) -> usize {
    let shared = is_shared.then(|| builder.shared(|row| row.str(Column::LogMessage, text)));
    for number in 0..most {
        let mut is_taken = false;
        builder.row(shared, |row| {
            is_taken = true;
            row.str(Column::Id, if is_shared { "" } else { text });
        });
        if !is_taken {
            return number;
        }
    }
    panic!("takes {most} rows and more");
}

#[test]
fn rows() {
    let mut builder = builder();
    assert_eq!(rows_until_full(&mut builder, 2 * BATCH_ROWS_MAX, "", false), BATCH_ROWS_MAX + 1);
    assert_eq!(builder.check(), Err(BatchError::TooManyRows(BATCH_ROWS_MAX + 1)));
    assert_eq!(builder.finish().unwrap_err(), BatchError::TooManyRows(BATCH_ROWS_MAX + 1));
}

#[test]
fn bytes_and_shared_parts_behind_them() {
    let (mut builder, text) = (builder(), "x".repeat(BATCH_BYTES_MAX / 8));
    assert_eq!(rows_until_full(&mut builder, 100, &text, false), 8, "a row is a little longer than its text");
    let before = builder.bytes();
    let part = builder.shared(|row| row.str(Column::LogMessage, &text));
    builder.row(Some(part), |_| panic!("nothing is written any more"));
    assert_eq!((builder.bytes(), builder.finish().unwrap_err()), (before, BatchError::TooManyBytes(before)));
}

#[test]
fn bytes_for_readers() {
    let (mut builder, text) = (builder(), "x".repeat(BATCH_BYTES_MAX / 2));
    assert_eq!(rows_until_full(&mut builder, 100, &text, true), 32);
    let refusal = builder.finish().unwrap_err();
    assert!(matches!(refusal, BatchError::TooManyUnfoldedBytes(bytes) if bytes > BATCH_UNFOLDED_BYTES_MAX), "{refusal}");
    assert!(refusal.to_string().contains(&format!("limit {BATCH_UNFOLDED_BYTES_MAX}")), "{refusal}");
}
