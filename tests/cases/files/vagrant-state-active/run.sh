. "$(dirname "$0")/../../library.sh"
inputs
export PATH=$PWD/bin:$PATH
skep inventory -i vagrant:v
expect "an active machine runs" says "root@203.0.113.10:22"
finish
