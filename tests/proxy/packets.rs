//! Finds the ends of the packets of an SSH connection from outside. The receiver can only use a
//! whole packet, so these are the only places where a cut makes a difference. Before NEWKEYS,
//! lengths are in clear (RFC 4253, section 6); after it, only with `aes256-gcm@openssh.com` (RFC
//! 5647, section 7.2, and PROTOCOL of OpenSSH, 1.6).

/// Length of the tag after each sealed packet.
const TAG: usize = 16;
const NEWKEYS: u8 = 21;

#[derive(Debug, PartialEq, Eq)]
enum PacketPhase {
    /// The line with the version.
    Greeting,
    Clear,
    Sealed,
}

/// State of one direction of a connection.
#[derive(Debug)]
pub struct PacketTracker {
    phase: PacketPhase,
    header: Vec<u8>,
    left: usize,
}

impl PacketTracker {
    pub fn new() -> Self {
        Self {
            phase: PacketPhase::Greeting,
            header: Vec::new(),
            left: 0,
        }
    }

    /// Returns how many of the next bytes belong to each packet that ends among them. The greeting
    /// counts as the first packet.
    pub fn ends(&mut self, bytes: &[u8]) -> Vec<usize> {
        let mut ends = Vec::new();
        for (index, byte) in bytes.iter().enumerate() {
            if self.take(*byte) {
                ends.push(index + 1);
            }
        }
        ends
    }

    /// Returns true if this byte is the last of a packet.
    fn take(&mut self, byte: u8) -> bool {
        if self.phase == PacketPhase::Greeting {
            if byte == b'\n' {
                self.phase = PacketPhase::Clear;
            }
            return byte == b'\n';
        }
        // In clear, the header also holds the padding's length and the message's number.
        let header = if self.phase == PacketPhase::Clear {
            6
        } else {
            4
        };
        if self.header.len() < header {
            self.header.push(byte);
            if self.header.len() == header {
                let length = u32::from_be_bytes(self.header[..4].try_into().unwrap()) as usize;
                assert!(
                    length < 1 << 20,
                    "invalid packet lengths; is another cipher in use?"
                );
                self.left = if self.phase == PacketPhase::Clear {
                    length - 2
                } else {
                    length + TAG
                };
            }
            return false;
        }
        self.left -= 1;
        if self.left > 0 {
            return false;
        }
        if self.header.get(5) == Some(&NEWKEYS) {
            self.phase = PacketPhase::Sealed;
        }
        self.header.clear();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packet_ends_are_found_for_any_chunk_size() {
        let clear = |code: u8| [&[0, 0, 0, 12, 10, code][..], &[0; 10]].concat();
        let sealed = [&[0, 0, 0, 32][..], &[7; 32 + TAG]].concat();
        let parts = [
            b"SSH-2.0-x\r\n".to_vec(),
            clear(20),
            clear(31),
            clear(NEWKEYS),
            sealed.clone(),
            sealed,
        ];
        let whole = parts.concat();
        let mut wanted: Vec<usize> = Vec::new();
        for part in &parts {
            wanted.push(wanted.last().unwrap_or(&0) + part.len());
        }
        for piece in [1, 7, 4096] {
            let (mut packets, mut seen, mut before) = (PacketTracker::new(), Vec::new(), 0);
            for bytes in whole.chunks(piece) {
                seen.extend(packets.ends(bytes).iter().map(|end| before + end));
                before += bytes.len();
            }
            assert_eq!(seen, wanted, "in pieces of {piece}");
        }
    }
}
