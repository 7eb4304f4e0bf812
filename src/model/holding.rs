//! The amount of data that a directory holds.

/// How much a directory holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DirectoryUsage {
    /// Files and links below it, at most a hundred thousand are counted; directories and the marker are not.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

impl DirectoryUsage {
    /// For sentences: `12 files, 3 MiB`.
    #[must_use]
    pub fn words(self) -> String {
        let size = match self.bytes {
            bytes if bytes >= 1 << 30 => format!("{} GiB", bytes >> 30),
            bytes if bytes >= 1 << 20 => format!("{} MiB", bytes >> 20),
            bytes if bytes >= 1 << 10 => format!("{} KiB", bytes >> 10),
            bytes => format!("{bytes} bytes"),
        };
        format!(
            "{} file{}, {size}",
            self.files,
            if self.files == 1 { "" } else { "s" }
        )
    }
}
