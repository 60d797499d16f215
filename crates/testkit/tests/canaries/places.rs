//! Where is looked: files, what a process shows of itself, its memory, a core file.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::marks::Needles;

/// In all files below a directory.
pub(crate) fn files(needles: &Needles, directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let kind = fs::symlink_metadata(&path).unwrap().file_type();
        if kind.is_dir() {
            found.extend(files(needles, &path));
        } else if kind.is_file() {
            let content = fs::read(&path).unwrap();
            found
                .extend(needles.find(&content).into_iter().map(|what| format!("{}: {what}", path.display())));
        }
    }
    found
}

/// In the arguments and the environment of a process.
pub(crate) fn command_line(needles: &Needles, pid: u32) -> Vec<String> {
    let read = |part: &str| needles.find(&fs::read(format!("/proc/{pid}/{part}")).unwrap());
    ["cmdline", "environ"].into_iter().flat_map(read).collect()
}

/// In the memory of a process that root can read and the process can write; what it only reads is its program.
pub(crate) fn memory(needles: &Needles, pid: u32) -> Vec<String> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut found = Vec::new();
    for line in maps.lines() {
        let mut parts = line.split_whitespace();
        let (Some(range), Some(access)) = (parts.next(), parts.next()) else { continue };
        let (start, end) = range.split_once('-').unwrap();
        let number = |text| u64::from_str_radix(text, 16).unwrap();
        if !access.starts_with("rw") || line.contains("secretmem") {
            continue;
        }
        let mut content = vec![0; usize::try_from(number(end) - number(start)).unwrap()];
        // What was unmapped meanwhile can't be read any more.
        if memory.read_exact_at(&mut content, number(start)).is_ok() {
            let place = parts.nth(3).unwrap_or("anonymous");
            found.extend(needles.find(&content).into_iter().map(|what| format!("{place} {range}: {what}")));
        }
    }
    found
}
