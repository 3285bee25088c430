/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a report does when there is a script: its tables can be sorted and
 * searched, the flame graph zoomed, the map asked.  Text goes into the page as
 * text only.
 */
"use strict";
(function () {
	function make(name, parent, text) {
		const e = document.createElement(name);
		if (text)
			e.textContent = text;
		if (parent)
			parent.appendChild(e);
		return e;
	}
	function size(n) {
		const units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
		let i = -1;
		if (n < 1024)
			return n + " B";
		do {
			n /= 1024;
			i++;
		} while (n >= 1000 && i < units.length - 1);
		return n.toFixed(n < 10 ? 2 : n < 100 ? 1 : 0) + " " + units[i];
	}

	/* ---- search ---- */

	function search(tools, what, items) {
		const label = make("label", tools, what);
		const input = make("input", label);
		const told = make("span", tools);
		const texts = items.map(function (e) {
			return e.textContent.toLowerCase();
		});
		input.type = "search";
		told.className = "told";
		told.setAttribute("role", "status");
		input.addEventListener("input", function () {
			const words = input.value.toLowerCase().split(/\s+/);
			let n = 0;
			items.forEach(function (e, i) {
				e.hidden = !words.every(function (w) {
					return texts[i].includes(w);
				});
				n += !e.hidden;
			});
			told.textContent = input.value ?
				n + " of " + items.length : "";
		});
	}

	/* ---- tables ---- */

	function value(cell) {
		const v = cell.dataset.v;
		return v === undefined ? cell.textContent.toLowerCase() : +v;
	}
	function sort(table, column, down) {
		const body = table.tBodies[0];
		const rows = Array.from(body.rows).map(function (row, i) {
			return {row: row, v: value(row.cells[column]), i: i};
		});
		rows.sort(function (a, b) {
			const d = a.v < b.v ? -1 : a.v > b.v ? 1 : 0;
			return d ? (down ? -d : d) : a.i - b.i;
		});
		rows.forEach(function (r) {
			body.appendChild(r.row);
		});
	}
	function makeSortable(table) {
		const heads = Array.from(table.tHead.rows[0].cells);
		heads.forEach(function (th, column) {
			const text = th.textContent;
			th.textContent = "";
			const button = make("button", th, text);
			button.type = "button";
			button.addEventListener("click", function () {
				const now = th.getAttribute("aria-sort");
				/* numbers: the largest are asked for first */
				const down = now ? now === "ascending" :
					th.classList.contains("n");
				heads.forEach(function (h) {
					h.removeAttribute("aria-sort");
				});
				th.setAttribute("aria-sort",
					down ? "descending" : "ascending");
				sort(table, column, down);
			});
		});
	}
	document.querySelectorAll("table").forEach(function (table) {
		const rows = Array.from(table.tBodies[0].rows);
		makeSortable(table);
		/* rows of numbers are found by sorting */
		if (rows.length > 5 &&
		    !table.tHead.rows[0].cells[0].classList.contains("n")) {
			const tools = document.createElement("div");
			const scroll = table.parentNode;
			tools.className = "tools";
			scroll.parentNode.insertBefore(tools, scroll);
			search(tools, "Search " +
				table.caption.textContent.toLowerCase(), rows);
		}
	});

	/* ---- leaks ---- */

	document.querySelectorAll(".tools[data-for]").forEach(function (tools) {
		const list = document.getElementById(tools.dataset.for);
		const items = Array.from(list.querySelectorAll(".item"));
		const more = list.querySelector(".more");
		if (items.length === 0)
			return;
		search(tools, "Search leaks", items);
		if (more)
			tools.addEventListener("input", function () {
				more.open = true;
			});
		["Open all", "Close all"].forEach(function (text, i) {
			const button = make("button", tools, text);
			button.type = "button";
			button.addEventListener("click", function () {
				if (more)
					more.open = i === 0;
				items.forEach(function (e) {
					e.open = i === 0;
				});
			});
		});
	});
	/* a link to what is folded opens it */
	function openTarget() {
		const e = location.hash.length > 1 ?
			document.getElementById(location.hash.slice(1)) : null;
		for (let d = e; d; d = d.parentElement)
			if (d.tagName === "DETAILS")
				d.open = true;
	}
	window.addEventListener("hashchange", openTarget);
	openTarget();

	/* ---- the flame graph ---- */

	function flame(svg) {
		const tools = document.getElementById("flame-tools");
		const nodes = Array.from(svg.children).map(function (e, i) {
			return {
				e: e, i: i,
				x: parseFloat(e.getAttribute("x")),
				w: parseFloat(e.getAttribute("width")),
				y: +e.getAttribute("y"),
				bytes: +e.dataset.b,
				title: e.querySelector("title").textContent,
				name: e.querySelector("text").textContent
			};
		});
		const all = nodes[0];
		let top = all;
		let at = all;

		/* a parent is the last one before it in the row above */
		const open = [];
		nodes.forEach(function (n) {
			const depth = n.y / (nodes.length > 1 ? nodes[1].y : 1);
			open.length = depth;
			n.up = depth ? open[depth - 1] : null;
			n.down = [];
			if (n.up)
				n.up.down.push(n);
			open.push(n);
			n.e.setAttribute("role", "button");
			n.e.setAttribute("tabindex", "-1");
			n.e.setAttribute("aria-label", n.title);
		});
		function within(n, of) {
			while (n && n !== of)
				n = n.up;
			return n === of;
		}
		const readout = document.createElement("p");
		readout.className = "readout";
		readout.id = "flame-readout";
		svg.parentNode.parentNode.insertBefore(readout,
			svg.parentNode.nextSibling);

		function zoom(n) {
			top = n;
			nodes.forEach(function (m) {
				const inside = within(m, n);
				const above = !inside && within(n, m);
				m.e.toggleAttribute("hidden", !inside && !above);
				m.e.style.display = inside || above ? "" : "none";
				m.e.classList.toggle("up", above);
				m.e.setAttribute("x", above ? "0%" :
					(m.x - n.x) / n.w * 100 + "%");
				m.e.setAttribute("width", above ? "100%" :
					m.w / n.w * 100 + "%");
			});
			reset.hidden = n === all;
			focus(n, false);
		}
		function focus(n, take) {
			at.e.setAttribute("tabindex", "-1");
			n.e.setAttribute("tabindex", "0");
			at = n;
			readout.textContent = n.title;
			if (take)
				n.e.focus();
		}
		function sibling(n, step) {
			const row = n.up ? n.up.down : [n];
			return row[row.indexOf(n) + step] || n;
		}
		function find(e) {
			while (e && e.parentNode !== svg)
				e = e.parentNode;
			return e ? nodes.find(function (n) {
				return n.e === e;
			}) : null;
		}
		svg.addEventListener("click", function (ev) {
			const n = find(ev.target);
			if (n)
				zoom(n);
		});
		svg.addEventListener("mouseover", function (ev) {
			const n = find(ev.target);
			if (n)
				readout.textContent = n.title;
		});
		svg.addEventListener("keydown", function (ev) {
			const to = {
				ArrowUp: at.up, ArrowDown: at.down[0],
				ArrowLeft: sibling(at, -1),
				ArrowRight: sibling(at, 1), Home: all
			}[ev.key];
			if (to && (within(to, top) || within(top, to)))
				focus(to, true);
			else if (ev.key === "Enter" || ev.key === " ")
				zoom(at);
			else if (ev.key === "Escape")
				zoom(all);
			else if (!to)
				return;
			ev.preventDefault();
		});

		const label = make("label", tools, "Search functions");
		const input = make("input", label);
		const told = make("span", tools);
		const reset = make("button", tools, "Show all");
		input.type = "search";
		told.className = "told";
		told.setAttribute("role", "status");
		reset.type = "button";
		reset.addEventListener("click", function () {
			zoom(all);
			all.e.focus();
		});
		input.addEventListener("input", function () {
			const word = input.value.toLowerCase();
			let bytes = 0;
			nodes.forEach(function (n) {
				n.hit = word !== "" && n !== all &&
					n.name.toLowerCase().includes(word);
				n.e.classList.toggle("hit", n.hit);
			});
			/* what is below a hit is counted with it */
			nodes.forEach(function (n) {
				let up = n.up;
				while (up && !up.hit)
					up = up.up;
				if (n.hit && !up)
					bytes += n.bytes;
			});
			told.textContent = word ? size(bytes) + ", " +
				(bytes / all.bytes * 100).toFixed(1) +
				" % of live bytes" : "";
		});
		svg.setAttribute("aria-label", svg.getAttribute("aria-label") +
			". Arrow keys move, Enter zooms, Escape shows all");
		zoom(all);
		readout.textContent = "";
	}

	/* ---- the map ---- */

	function map(svg) {
		const readout = document.getElementById("map-readout");
		const cell = BigInt(svg.dataset.cell);
		const rows = svg.dataset.rows.split(";").map(function (text) {
			const part = text.split(" ");
			return {at: BigInt("0x" + part[0]), y: +part[1],
				cells: part[2]};
		});
		svg.addEventListener("mousemove", function (ev) {
			const p = new DOMPoint(ev.clientX, ev.clientY)
				.matrixTransform(svg.getScreenCTM().inverse());
			const x = Math.floor(p.x / 8);
			const row = rows.find(function (r) {
				return p.y >= r.y && p.y < r.y + 8;
			});
			const hex = row && x >= 0 ?
				row.cells.slice(2 * x, 2 * x + 2) : "";
			readout.textContent = !hex || hex === ".." ? "" :
				(row.at + BigInt(x) * cell).toString(16) +
				": " + parseInt(hex, 16) + " % allocated";
		});
	}

	document.documentElement.classList.add("works");
	const flameSvg = document.getElementById("flame");
	const mapSvg = document.getElementById("map");
	if (flameSvg)
		flame(flameSvg);
	if (mapSvg)
		map(mapSvg);
}());
