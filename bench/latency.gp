# SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
#
# Draws latency.dat: percentiles of another thread's calls, idle and beside frees. Wants `directory`
# and `machine`.
set terminal svg size 900,480 font "sans,13" background "white"
set output directory . "/latency.svg"
set title "Another thread's calls while a million objects are freed\n{/*0.8 " . machine . "}"
set ylabel "ns, median of the rounds"
set logscale y
set grid y
set key outside top right horizontal
set style data histograms
set style histogram clustered gap 1.5
set style fill solid 0.8 border
set xtics rotate by -25 noenhanced
plot directory . "/latency.dat" using 2:xtic(1) title "idle", \
	"" using 3 title "beside a drain", "" using 4 title "beside zs_free" noenhanced
