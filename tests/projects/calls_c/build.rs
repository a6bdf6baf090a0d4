fn main() {
    cc::Build::new().file("src/report.c").compile("report");
}
