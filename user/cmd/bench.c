#include "cli.h"
int cmd_bench(struct cli *cli, int argc, char **argv) { (void)argc; (void)argv; return cli_failed(cli, "x"); }
