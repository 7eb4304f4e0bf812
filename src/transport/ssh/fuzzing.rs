//! Invariants for any stream of a command: the result does not depend on the pieces in which it
//! arrives, and no more than the limit is kept.

use super::frame::OutputFrame;

/// See [`crate::fuzzing::stream`].
pub(crate) fn stream(bytes: &[u8]) {
    let Some((&first, bytes)) = bytes.split_first() else {
        return;
    };
    let limit = usize::from(first) * 4;
    let cut = |size: usize, mut frame: OutputFrame| {
        bytes.chunks(size).for_each(|piece| frame.push(piece));
        let (begun, ended, over, detail) = (
            frame.begun(),
            frame.ended(),
            frame.overflowed(),
            frame.detail().to_owned(),
        );
        let body = frame.into_body();
        let most = if begun {
            limit + b"<end>".len() + size
        } else {
            16 * 1024
        };
        assert!(
            body.len() <= most,
            "{} bytes are kept of at most {limit}",
            body.len()
        );
        (begun, ended, over, detail, body)
    };
    for tail in [false, true] {
        let frame = || match tail {
            true => OutputFrame::tail(b"<begin> ", b"<end>", limit),
            false => OutputFrame::new(b"<begin> ", b"<end>", limit),
        };
        let whole = cut(bytes.len().max(1), frame());
        for size in [1, 7, 64] {
            let pieces = cut(size, frame());
            // The bytes that an overflow discards may differ, but all pieces must report the
            // overflow.
            if pieces.2 || whole.2 {
                assert!(pieces.2 && whole.2 && pieces.0 == whole.0);
            } else {
                assert_eq!(pieces, whole);
            }
        }
    }
}
