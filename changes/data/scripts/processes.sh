# What runs and takes the most: by processor and by memory.
uptime
free -m 2>/dev/null || cat /proc/meminfo
echo
ps -eo pid,user,pcpu,pmem,etime,args --sort=-pcpu | cut -c -160 | head -n "$((PARAM_COUNT + 1))"
echo
ps -eo pid,user,pcpu,pmem,etime,args --sort=-pmem | cut -c -160 | head -n "$((PARAM_COUNT + 1))"
