. "$(dirname "$0")/../../library.sh"
INVENTORY_ARG= SYSTEM_PATH=$PATH
rm -rf "$WORK/inputs"
cp -r "$HERE" "$WORK/inputs"
cd "$WORK/inputs" || exit 2
export PATH=$PWD/bin:$PATH
skep inventory -i vagrant:v
expect "an active machine runs" says "root@203.0.113.10:22"
KEEP=1 finish
