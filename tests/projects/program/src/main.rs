fn main() {
    println!("program for {}", std::env::consts::ARCH);
}
