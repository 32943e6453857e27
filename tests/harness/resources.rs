//! What a process has used, as /proc tells it.

use std::{collections::BTreeMap, fs, time::Duration};

use crate::Result;

/// Linux counts processor time in these, whatever the kernel's own tick.
const TICKS_PER_SECOND: u64 = 100;

/// The processor time that a process has used, its ended children included.
///
/// # Errors
/// Where there is no such process.
pub fn processor_time(process: u32) -> Result<Duration> {
    let fields = stat(process)?;
    let ticks: u64 = [fields.user, fields.system, fields.children]
        .into_iter()
        .sum();
    Ok(Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND))
}

/// The processor time of a process and of all its descendants, alive and ended.
///
/// # Errors
/// Where there is no such process.
pub fn processor_time_of_tree(root: u32) -> Result<Duration> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(process) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        // One that has ended since the listing counts with its parent.
        if let Ok(fields) = stat(process) {
            children.entry(fields.parent).or_default().push(process);
        }
    }
    let mut total = processor_time(root)?;
    let mut unvisited = children.remove(&root).unwrap_or_default();
    while let Some(process) = unvisited.pop() {
        total += processor_time(process).unwrap_or_default();
        unvisited.extend(children.remove(&process).unwrap_or_default());
    }
    Ok(total)
}

/// The most memory that a process has had resident, in bytes.
///
/// # Errors
/// Where there is no such process.
pub fn peak_memory(process: u32) -> Result<u64> {
    status(process, "VmHWM:")
}

/// The memory that a process has resident now, in bytes.
///
/// # Errors
/// Where there is no such process.
pub fn memory(process: u32) -> Result<u64> {
    status(process, "VmRSS:")
}

/// How many sockets a process holds open.
///
/// # Errors
/// Where there is no such process, or it is another user's.
pub fn sockets(process: u32) -> Result<usize> {
    let open = fs::read_dir(format!("/proc/{process}/fd"))?.flatten();
    Ok(open
        // One that was closed since the listing leads nowhere.
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .filter(|target| target.to_string_lossy().starts_with("socket:"))
        .count())
}

/// Lets [`peak_memory`] count from now on.
///
/// # Errors
/// Where there is no such process, or it is another user's.
pub fn reset_peak_memory(process: u32) -> Result<()> {
    Ok(fs::write(format!("/proc/{process}/clear_refs"), "5")?)
}

fn status(process: u32, field: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let kibibytes: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .and_then(|value| value.split_whitespace().next())
        .ok_or_else(|| format!("the process has no {field}"))?
        .parse()?;
    Ok(kibibytes * 1_024)
}

struct Stat {
    parent: u32,
    user: u64,
    system: u64,
    children: u64,
}

fn stat(process: u32) -> Result<Stat> {
    let text = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The program's name, in brackets, may hold anything; the fields after it are numbers.
    let (_, fields) = text.rsplit_once(')').ok_or("no program's name")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let number = |position: usize| -> Result<u64> {
        let field = fields.get(position).ok_or("too few fields")?;
        // Linux gives the children's times a sign.
        Ok(u64::try_from(field.parse::<i64>()?).unwrap_or(0))
    };
    Ok(Stat {
        parent: u32::try_from(number(1)?)?,
        user: number(11)?,
        system: number(12)?,
        children: number(13)? + number(14)?,
    })
}
