//! The amount of data that a directory holds.

/// Number and size of the files in a directory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DirectoryUsage {
    /// Number of files and links below the directory, without directories and the marker. At most
    /// 100,000 are counted.
    pub files: u64,
    /// Total size of the counted files, in bytes.
    pub bytes: u64,
}

impl DirectoryUsage {
    /// Returns the usage in words: `12 files, 3 MiB`.
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
