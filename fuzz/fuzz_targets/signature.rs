#![no_main]

tower_warden_fuzz::fuzz!("signature");
