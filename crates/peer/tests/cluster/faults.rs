//! Nodes that die, freeze, come back, and dial each other at once.

use std::time::{Duration, Instant};

use crate::child::{ECHO, SWALLOW};
use crate::node::{Node, SECRET, eventually};

const MIB: u64 = 1024 * 1024;

fn echo(from: &Node, to: u64) -> String {
    from.ask(&format!("call {to} {ECHO} 0 1000 2000 1000"))
}

#[test]
fn a_killed_node_comes_back_with_another_boot_id() {
    let one = Node::start(1);
    let two = Node::start(2);
    one.knows(&two);
    one.expect_connected(2, 5000);
    let (address, boot) = (two.address(), two.boot());
    let hanging = one.tell(&format!("call 2 {} 0 0 30000 100", crate::child::HOLD));
    eventually(Duration::from_secs(5), "the call arrives", || (two.ask("count") == "ok 1 0").then_some(()));
    two.kill();
    let begun = Instant::now();
    assert!(one.answer(hanging).contains("Unknown outcome unknown: the session ended"));
    assert!(begun.elapsed() < Duration::from_secs(1), "a pending call ends with its session: {:?}", begun.elapsed());
    eventually(Duration::from_secs(2), "calls fail at once", || echo(&one, 2).contains("Unreachable").then_some(()));
    let two = Node::with(2, "east", &address, SECRET);
    let returned = Instant::now();
    one.expect_connected(2, 5000);
    assert!(echo(&one, 2).starts_with("ok"));
    assert_ne!(boot, two.boot());
    assert!(one.peer(2).starts_with(&two.boot()));
    // The longest wait between two dials is a second.
    assert!(returned.elapsed() < Duration::from_secs(2), "{:?}", returned.elapsed());
}

#[test]
fn a_frozen_node_is_noticed_and_costs_no_memory() {
    let (one, two) = (Node::start(1), Node::start(2));
    one.knows(&two);
    one.expect_connected(2, 5000);
    one.expect(&format!("pound 2 64 500 {SWALLOW} 0 65536 50 100"), "ok");
    let before = one.memory_bytes();
    // Calls give up ten times before the frozen node is noticed: their bytes must count as long as they lie in a queue.
    let pounding = one.tell(&format!("pound 2 64 8000 {SWALLOW} 0 65536 50 100"));
    two.signal("STOP");
    let frozen = Instant::now();
    let mut most = before;
    eventually(Duration::from_secs(4), "the frozen node is noticed", || {
        most = most.max(one.memory_bytes());
        one.peer(2).starts_with("down").then_some(())
    });
    assert!(one.peer(2).contains("3 heartbeats without an answer"), "{}", one.peer(2));
    let begun = Instant::now();
    assert!(echo(&one, 2).contains("Unreachable"));
    assert!(begun.elapsed() < Duration::from_millis(500), "fails at once: {:?}", begun.elapsed());
    eventually(Duration::from_secs(10), "time passes while calls go on", || {
        most = most.max(one.memory_bytes());
        (frozen.elapsed() > Duration::from_secs(7)).then_some(())
    });
    println!("resident: {} MiB before, {} MiB at most", before / MIB, most / MIB);
    assert!(most < before + 16 * MIB, "grew from {} to {} MiB", before / MIB, most / MIB);
    two.signal("CONT");
    one.expect_connected(2, 4000);
    assert!(one.answer(pounding).starts_with("ok"));
    assert!(echo(&one, 2).starts_with("ok"));
    eventually(Duration::from_secs(5), "the other way too", || echo(&two, 1).starts_with("ok").then_some(()));
}

#[test]
fn two_nodes_that_dial_each_other_use_one_session() {
    let one = Node::start(1);
    for _ in 0..5 {
        let two = Node::start(2);
        one.expect("remove 2", "ok");
        let (here, there) = (one.tell(&format!("set 2 {}", two.address())), two.tell(&format!("set 1 {}", one.address())));
        assert_eq!((one.answer(here), two.answer(there)), ("ok ()".to_owned(), "ok ()".to_owned()));
        eventually(Duration::from_secs(10), "they settle", || {
            let settled = |node: &Node, peer| node.peer(peer).split(',').nth(2).is_some_and(|rtt| rtt != "0" && !rtt.is_empty());
            (settled(&one, 2) && settled(&two, 1)).then_some(())
        });
        let since = |node: &Node, peer| node.peer(peer).split(',').nth(1).map(str::to_owned);
        let before = (since(&one, 2), since(&two, 1));
        assert!(echo(&one, 2).starts_with("ok") && echo(&two, 1).starts_with("ok"));
        one.expect(&format!("pound 2 4 1500 {SWALLOW} 0 1000 2000 100"), "ok");
        assert_eq!(before, (since(&one, 2), since(&two, 1)), "the session stays\n{}\n---\n{}", one.logs(), two.logs());
        assert_eq!(connections(&one, &two), 1, "one connection is left");
    }
}

/// TCP connections between two nodes, counted at the first.
fn connections(one: &Node, two: &Node) -> usize {
    let ports = [one, two].map(|node| node.address().rsplit_once(':').expect("port").1.parse::<u16>().expect("number"));
    let sockets = std::fs::read_dir(format!("/proc/{}/fd", one.pid())).expect("it lives");
    let inodes: Vec<String> = sockets
        .filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok())
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let table = std::fs::read_to_string(format!("/proc/{}/net/tcp", one.pid())).expect("it lives");
    let is_between = |line: &&str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let port = |word: &str| u16::from_str_radix(word.rsplit_once(':').map_or("0", |(_, port)| port), 16).unwrap_or(0);
        words.len() > 9
            && words[3] == "01"
            && inodes.iter().any(|inode| inode == words[9])
            && (ports.contains(&port(words[1])) || ports.contains(&port(words[2])))
    };
    table.lines().filter(is_between).count()
}

#[test]
fn seeds_make_nodes_known_and_removed_nodes_stay_away() {
    let (one, two) = (Node::start(1), Node::start(2));
    assert_eq!(two.ask(&format!("seed {}", one.address())), "ok NodeId(1)");
    assert_eq!(two.ask(&format!("seed {}", one.address())), "ok NodeId(1)", "a second time");
    assert!(echo(&two, 1).starts_with("ok"));
    eventually(Duration::from_secs(5), "known through its hello", || echo(&one, 2).starts_with("ok").then_some(()));
    one.expect("remove 2", "ok");
    assert!(echo(&one, 2).contains("Unreachable"));
    two.expect_log("the peer refused: node 2 was removed from the cluster");
    one.knows(&two);
    one.expect_connected(2, 10_000);
}

#[test]
fn a_node_that_was_forgotten_comes_back() {
    let (one, two) = (Node::start(1), Node::start(2));
    assert_eq!(two.ask(&format!("seed {}", one.address())), "ok NodeId(1)");
    one.expect("forget 2", "ok");
    eventually(Duration::from_secs(10), "it comes back", || echo(&one, 2).starts_with("ok").then_some(()));
}

#[test]
fn a_node_stops_and_lets_go() {
    let (one, two) = (Node::start(1), Node::start(2));
    one.knows(&two);
    one.expect_connected(2, 5000);
    assert_eq!(two.ask("stop"), "ok");
    eventually(Duration::from_secs(2), "it is gone", || one.peer(2).starts_with("down").then_some(()));
}
