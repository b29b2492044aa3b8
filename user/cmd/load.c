#include "cli.h"
int cmd_load(struct cli *cli, int argc, char **argv) { (void)argc; (void)argv; return cli_failed(cli, "x"); }
