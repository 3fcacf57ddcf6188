//! How much memory a step took at its peak, as the kernel counts it.

/// Forgets the peak so far, so that [`peak_bytes`] tells the peak of what follows: writing 5 to `clear_refs` (proc(5)).
pub fn forget_peak() {
    // without it the peak is that of the whole process, which is only less precise
    let _not_on_linux = std::fs::write("/proc/self/clear_refs", "5");
}

/// The most memory resident since [`forget_peak`], in bytes (`VmHWM` of proc(5)); none where the kernel does not tell.
pub fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}
