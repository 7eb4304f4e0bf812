//! Splits a gather's output into frames. Whatever a login shell, sshd or a probe prints between frames is ignored.

use std::collections::HashMap;

/// What one section printed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Exit status of the probe.
    pub status: i32,
    /// Its standard output, verbatim.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: String,
}

impl Frame {
    /// Standard output as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// All complete frames by their index. A frame without its end is left out: half an answer is no answer.
pub(super) fn split(marker: &str, output: &[u8]) -> HashMap<usize, Frame> {
    let begin = format!("\n{marker} begin ");
    let mut frames = HashMap::new();
    let mut rest = output;
    while let Some(position) = find(rest, begin.as_bytes()) {
        rest = &rest[position + begin.len()..];
        let Some((index, frame, used)) = one(marker, rest) else { continue };
        frames.insert(index, frame);
        rest = &rest[used..];
    }
    frames
}

fn one(marker: &str, text: &[u8]) -> Option<(usize, Frame, usize)> {
    let line_end = find(text, b"\n")?;
    let index: usize = std::str::from_utf8(&text[..line_end]).ok()?.parse().ok()?;
    let content = line_end + 1;
    let end = format!("\n{marker} end {index} ");
    // The end line's own newline belongs to the frame, so an empty output starts right with it.
    let stdout_end = content.saturating_sub(1) + find(&text[content.saturating_sub(1)..], end.as_bytes())?;
    let stdout = text.get(content..stdout_end).unwrap_or_default().to_vec();
    let status_start = stdout_end + end.len();
    let status_end = status_start + find(&text[status_start..], b"\n")?;
    let status = std::str::from_utf8(&text[status_start..status_end]).ok()?.parse().ok()?;
    let done = format!("\n{marker} done {index}\n");
    let stderr_end = status_end + find(&text[status_end..], done.as_bytes())?;
    let stderr = String::from_utf8_lossy(text.get(status_end + 1..stderr_end).unwrap_or_default()).trim().to_owned();
    Some((index, Frame { status, stdout, stderr }, stderr_end + done.len() - 1))
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(haystack, needle)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn frames_keep_bytes_and_ignore_noise() {
        let output = b"Welcome!\n\nM begin 0\na\n\0b\n\nM end 0 0\n\nM done 0\nnoise\n\nM begin 1\n\nM end 1 3\noops\nM done 1\n";
        let frames = split("M", output);
        assert_eq!(frames[&0], Frame { status: 0, stdout: b"a\n\0b\n".to_vec(), stderr: String::new() });
        assert_eq!(frames[&1], Frame { status: 3, stdout: Vec::new(), stderr: "oops".into() });
    }

    #[test]
    fn half_a_frame_is_no_answer() {
        assert!(split("M", b"\nM begin 0\nhalf of it").is_empty());
        assert!(split("M", b"\nM begin 0\nall\nM end 0 0\nbut no done").is_empty());
    }
}
