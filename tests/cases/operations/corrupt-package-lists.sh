. "$(dirname "$0")/../library.sh"
environment 1 0 bare
on docker01 'apt-get update >/dev/null; cd /var/lib/apt/lists; rm -f /var/cache/apt/*.bin; echo "<html>log in to this network</html>" >$(ls *Packages* | head -1)'
skep apply -y "$(playbook tree '{ package = { name = "tree" } },')"
expect "lists that apt cannot parse are fetched anew, or the hint says how (rm /var/lib/apt/lists/...)" mentions 'Applied|rm .*apt/lists|remove .*apt/lists'
finish
