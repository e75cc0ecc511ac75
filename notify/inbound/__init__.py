"""What reaches us from outside, read and verified: one adapter a protocol, pure functions and one IMAP client."""
