// Rust: threads, channels, locks, atomics, unwinding, collections, subprocesses.
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{mpsc, Arc, Barrier, Condvar, Mutex, RwLock};
use std::{panic, process, thread};

fn fib(n: u32) -> u64 { if n < 2 { n as u64 } else { fib(n - 1) + fib(n - 2) } }

fn main() {
    panic::set_hook(Box::new(|_| {}));
    let count = Arc::new(AtomicU64::new(0));
    let map = Arc::new(RwLock::new(HashMap::new()));
    let barrier = Arc::new(Barrier::new(8));
    let threads: Vec<_> = (0..8u64).map(|t| {
        let (count, map, barrier) = (count.clone(), map.clone(), barrier.clone());
        thread::spawn(move || {
            barrier.wait();
            for i in 0..2000 { count.fetch_add(i, Ordering::Relaxed); map.write().unwrap().insert(t * 10000 + i, format!("{i}")); }
            fib(22)
        })
    }).collect();
    for t in threads { assert_eq!(t.join().unwrap(), 17711); }
    assert_eq!(count.load(Ordering::SeqCst), 8 * 1999000);
    assert_eq!(map.read().unwrap().len(), 16000);
    let (send, receive) = mpsc::channel();
    for i in 0..50u64 { let send = send.clone(); thread::spawn(move || { for j in 0..100 { send.send(i * j).unwrap(); } }); }
    drop(send);
    assert_eq!(receive.iter().sum::<u64>(), 1225 * 4950);
    for i in 0..500 { assert!(panic::catch_unwind(|| { let v: Vec<u8> = Vec::new(); v[i] }).is_err()); }
    let pair = Arc::new((Mutex::new(0), Condvar::new()));
    for _ in 0..20 { let p = pair.clone(); thread::spawn(move || { *p.0.lock().unwrap() += 1; p.1.notify_all(); }); }
    let mut done = pair.0.lock().unwrap();
    while *done < 20 { done = pair.1.wait(done).unwrap(); }
    let tree: BTreeMap<u32, f64> = (0..20000u32).map(|i| (i.wrapping_mul(2654435761), (i as f64).sqrt())).collect();
    assert_eq!(tree.len(), 20000);
    assert!((tree.values().sum::<f64>() - 1885547.165).abs() < 0.01, "{}", tree.values().sum::<f64>());
    for _ in 0..5 { assert_eq!(process::Command::new("/bin/echo").arg("child").output().unwrap().stdout, b"child\n"); }
    println!("ok");
}
