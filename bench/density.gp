# SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
#
# Draws density.dat: what is resident more than what is stored, fresh and after frees. Wants
# `directory` and `machine`.
set terminal svg size 900,480 font "sans,13" background "white"
set output directory . "/density.svg"
set title "Resident memory more than the stored bytes, when all was given back that can be\n" \
	. "{/*0.8 " . machine . "}"
set ylabel "%"
set logscale y
set yrange [0.3:]
set grid y
set key outside top right horizontal
set style data histograms
set style histogram clustered gap 1.5
set style fill solid 0.8 border
set xtics noenhanced
plot directory . "/density.dat" using 2:xtic(1) title "fresh" linecolor rgb "#2ca02c", \
	"" using 3 title "50 % freed" linecolor rgb "#1f77b4", \
	"" using 4 title "80 % freed" linecolor rgb "#ff7f0e", \
	"" using 5 title "95 % freed" linecolor rgb "#d62728"
