//! What the folder may be like, and that no row is ever hidden.

use parquet::bloom_filter::Sbbf;
use watershed_schema::Column;

use super::pages::PAGE_BYTES;
use super::*;

const TRACES: usize = 4_000;

fn trace(number: usize) -> String {
    format!("{:016x}", (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn filter(numbers: impl Iterator<Item = usize>) -> Option<Sbbf> {
    let mut filter = Sbbf::new_with_num_of_bytes(8 << 10);
    numbers.for_each(|number| filter.insert(trace(number).as_str()));
    Some(filter)
}

/// Traces lie in two row groups; the second has no filter of sessions.
fn filters() -> Arc<OfFile> {
    let groups =
        vec![vec![filter(0..TRACES / 2), filter(7..8), filter(0..10)], vec![filter(TRACES / 2..TRACES), None, filter(10..20)]];
    Arc::new(OfFile { groups })
}

fn key(name: &str) -> Key {
    Key { path: format!("s3://lake/data/{name}.parquet"), size: 77 }
}

fn wanted(column: Column, values: &[String]) -> Arc<[Wanted]> {
    Wanted::of(&[(column, values.to_vec())]).into()
}

fn opened(folder: &Path, bytes_max: u64) -> Arc<FilterCache> {
    Arc::new(FilterCache::open(folder, bytes_max).unwrap())
}

fn names(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect()
}

fn bytes_in(folder: &Path) -> u64 {
    names(folder).iter().map(|file| fs::metadata(file).unwrap().len()).sum()
}

#[tokio::test]
async fn what_is_kept_says_what_the_filters_said_also_to_the_next_process() {
    let dir = tempfile::tempdir().unwrap();
    let asked = wanted(Column::TraceId, &[trace(1)]);
    let cache = opened(dir.path(), 1 << 20);
    assert_eq!(cache.may_hold(key("a"), &asked).await, None);
    assert!(cache.keep(key("a"), filters()).await);
    drop(cache);
    let cache = opened(dir.path(), 1 << 20);
    for number in (0..3 * TRACES).step_by(37) {
        for column in [Column::TraceId, Column::SessionId, Column::Id] {
            let asked = wanted(column, &[trace(number), trace(2 * number + TRACES)]);
            assert_eq!(cache.may_hold(key("a"), &asked).await, Some(filters().may_hold(&asked)), "{number}");
        }
    }
    assert_eq!(cache.may_hold(key("b"), &asked).await, None);
    assert_eq!(cache.may_hold(Key { size: 78, ..key("a") }, &asked).await, None, "a table made anew");
    cache.forget(&key("a").path).await;
    assert!(names(dir.path()).is_empty());
}

#[tokio::test]
async fn no_flipped_bit_hides_a_row() {
    let dir = tempfile::tempdir().unwrap();
    let cache = opened(dir.path(), 1 << 20);
    let asked: Vec<_> = (0..TRACES).step_by(TRACES / 100).map(|number| wanted(Column::TraceId, &[trace(number)])).collect();
    assert!(cache.keep(key("a"), filters()).await);
    let file = names(dir.path()).remove(0);
    let whole = fs::read(&file).unwrap();
    let mut noticed = 0;
    for at in (0..whole.len()).step_by(97) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0xff;
        fs::write(&file, &damaged).unwrap();
        for asked in &asked {
            let said = Entry::open(&file, &key("a")).and_then(|entry| entry.may_hold(asked));
            assert!(!matches!(said, Ok(false)), "byte {at} hides a row");
            noticed += usize::from(said.is_err());
        }
    }
    assert!(noticed > asked.len(), "{noticed}");
}

#[tokio::test]
async fn half_files_and_those_of_others_are_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let cache = opened(dir.path(), 1 << 20);
    assert!(cache.keep(key("a"), filters()).await);
    let a = names(dir.path()).remove(0);
    let whole = fs::read(&a).unwrap();
    let asked = wanted(Column::TraceId, &[trace(TRACES - 1)]);
    let mut pages: Vec<_> = whole.chunks(PAGE_BYTES).collect();
    pages[1..].reverse();
    let swapped = pages.concat();
    for content in [&whole[..whole.len() / 2], &whole[..PAGE_BYTES], &[], &vec![0; whole.len()], &swapped] {
        fs::write(&a, content).unwrap();
        let said = cache.may_hold(key("a"), &asked).await;
        assert_eq!(said, None, "{} bytes", content.len());
        assert!(!a.exists(), "it is gone, to be written again");
    }
    let b = cache.at(name(&key("b").path));
    fs::write(&b, &whole).unwrap();
    assert_eq!(cache.may_hold(key("b"), &asked).await, None, "another file's");
    fs::write(dir.path().join("0-0.new"), &whole).unwrap();
    fs::write(dir.path().join("readme"), "x").unwrap();
    assert_eq!(opened(dir.path(), 1 << 20).may_hold(key("a"), &asked).await, None);
    assert_eq!(names(dir.path()), [dir.path().join("readme")], "unfinished ones go, others' stay");
}

#[tokio::test]
async fn no_more_is_kept_than_was_said_and_what_was_used_stays() {
    let dir = tempfile::tempdir().unwrap();
    let one = entry::bytes(&filters());
    let cache = opened(dir.path(), 10 * one + 1);
    let asked = wanted(Column::TraceId, &[trace(1)]);
    for number in 0..30 {
        assert!(cache.keep(key(&number.to_string()), filters()).await);
        assert!(bytes_in(dir.path()) <= 10 * one);
        assert_eq!(cache.may_hold(key("0"), &asked).await, Some(true), "it is used all the time");
    }
    assert_eq!((names(dir.path()).len(), bytes_in(dir.path())), (10, 10 * one));
    assert_eq!(cache.may_hold(key("20"), &asked).await, None);
    // What was used last is known to the next process by the files' times, told every ten minutes.
    let old = SystemTime::now() - 2 * REST * 60;
    names(dir.path()).iter().for_each(|file| File::open(file).unwrap().set_modified(old).unwrap());
    assert_eq!(opened(dir.path(), 10 * one).may_hold(key("25"), &asked).await, Some(true));
    let less = opened(dir.path(), one);
    assert_eq!((less.may_hold(key("25"), &asked).await, names(dir.path()).len()), (Some(true), 1));
    assert!(!opened(dir.path(), one - 1).keep(key("x"), filters()).await, "it fits into no room");
    assert_eq!(names(dir.path()).len(), 0);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_keeps_nothing_and_is_left_alone_for_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("cache");
    fs::write(&folder, "a file").unwrap();
    assert!(FilterCache::open(&folder, 1 << 20).is_err());
    fs::remove_file(&folder).unwrap();
    let cache = opened(&folder, 1 << 20);
    fs::remove_dir(&folder).unwrap();
    assert!(!cache.rests());
    assert!(!cache.keep(key("a"), filters()).await && cache.rests());
    assert_eq!(cache.may_hold(key("a"), &wanted(Column::TraceId, &[trace(1)])).await, None);
    fs::create_dir(&folder).unwrap();
    assert!(!cache.keep(key("a"), filters()).await, "it rests");
    *lock(&cache.failed) = Some(Instant::now() - REST);
    assert!(cache.keep(key("a"), filters()).await && !cache.rests());
}
