/* Stands in for GitHub's node of Alpine, which is linked with musl: it says
   which script it was given, with what input. */
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	const char *greeting = getenv("INPUT_GREETING");
	printf("musl: %s, %s\n", greeting ? greeting : "nobody", argv[argc - 1]);
	return 0;
}
