using Stig.Model.Graphs;
using Stig.Model.Operations;

namespace Stig.Model.Execution;

/// <summary>Where a value lives: at an image and channel offset within the storage of <see cref="Root"/>.</summary>
internal readonly record struct Placement(Value Root, ViewOffset Offset);

/// <summary>
/// Decides, before anything runs, where every value of a graph lives. Values that nothing asked for needs are dropped; cuts are views,
/// joined tensors hold their parts where the layout allows, results overwrite inputs that nobody needs any more, and what remains shares
/// one arena: buffers whose lifetimes do not overlap may overlap in memory.
/// </summary>
internal sealed class MemoryPlan
{
    // That of CUDA's libraries; a cache line would do on the CPU.
    private const long Alignment = 256;
    private const int Forever = int.MaxValue;

    private readonly Placement?[] placements;
    private readonly Dictionary<Value, long> arenaOffsets = [];

    private MemoryPlan(Graph graph) => placements = new Placement?[graph.Values.Count];

    /// <summary>Nodes that have to run, in order.</summary>
    public IReadOnlyList<Node> Nodes { get; private set; } = [];

    /// <summary>Size of the arena in bytes.</summary>
    public long ArenaBytes { get; private set; }

    /// <summary>Sum of the sizes of all buffers in the arena: what it would take if none shared memory.</summary>
    public long UnsharedBytes { get; private set; }

    /// <summary>Where a value lives; null for an output that nobody reads and that can be left out.</summary>
    public Placement? this[Value value] => placements[value.Id];

    /// <summary>Byte offset in the arena of a root; null when it is an input or a parameter.</summary>
    public long? ArenaOffset(Value root) => arenaOffsets.TryGetValue(root, out long offset) ? offset : null;

    public static MemoryPlan Create(Graph graph, ILayoutPolicy layout)
    {
        var plan = new MemoryPlan(graph);
        plan.Nodes = LiveNodes(graph);
        CheckUpdateOrder(graph, plan.Nodes);
        var lifetimes = new Lifetimes(graph, plan.Nodes);
        new Placer(plan, layout, lifetimes).Run();
        plan.PackArena(layout, lifetimes);
        return plan;
    }

    /// <summary>Nodes that an output or an update of a parameter depends on, in order.</summary>
    public static List<Node> LiveNodes(Graph graph)
    {
        bool[] live = new bool[graph.Values.Count];
        foreach (Value output in graph.Outputs.Values)
        {
            live[output.Id] = true;
        }

        List<Node> nodes = [];
        for (int index = graph.Nodes.Count - 1; index >= 0; index--)
        {
            Node node = graph.Nodes[index];
            bool updates = node.Operation.UpdatedInput(0) is not null;
            if (!updates && !node.Outputs.Any(output => live[output.Id]))
            {
                continue;
            }

            nodes.Add(node);
            foreach (Value input in node.Inputs)
            {
                live[input.Id] = true;
            }
        }

        nodes.Reverse();
        return nodes;
    }

    // An update overwrites the parameter: whoever reads the old version must come before it.
    private static void CheckUpdateOrder(Graph graph, IReadOnlyList<Node> nodes)
    {
        var replaced = new Dictionary<Value, Node>();
        foreach (Node node in nodes)
        {
            foreach (Value input in node.Inputs)
            {
                if (replaced.TryGetValue(input, out Node? update))
                {
                    throw new GraphException($"{node.Name} reads {input.Name}, which {update.Name} has overwritten by then.");
                }
            }

            for (int output = 0; output < node.Outputs.Count; output++)
            {
                if (node.Operation.UpdatedInput(output) is int input)
                {
                    replaced[node.Inputs[input]] = node;
                }
            }
        }

        // Outputs are read when everything has run.
        foreach ((string name, Value output) in graph.Outputs)
        {
            if (replaced.TryGetValue(output, out Node? update))
            {
                throw new GraphException($"Output {name} is {output.Name}, which {update.Name} overwrites.");
            }
        }
    }

    // Greedy by size: the largest buffer first, each at the lowest offset where it overlaps none that lives at the same time.
    private void PackArena(ILayoutPolicy layout, Lifetimes lifetimes)
    {
        Dictionary<Value, (int First, int Last)> roots = [];
        foreach (Value value in placements.Index().Where(p => p.Item is not null).Select(p => lifetimes.Graph.Values[p.Index]))
        {
            Value root = placements[value.Id]!.Value.Root;
            if (root.Kind != ValueKind.Computed)
            {
                continue;
            }

            (int first, int last) = lifetimes[value];
            roots[root] = roots.TryGetValue(root, out (int First, int Last) known)
                ? (Math.Min(first, known.First), Math.Max(last, known.Last))
                : (first, last);
        }

        List<(long Offset, long End, int First, int Last)> placed = [];
        foreach ((Value root, (int first, int last)) in roots.OrderByDescending(r => layout.ByteCount(r.Key.Type)).ThenBy(r => r.Key.Id))
        {
            long size = Align(layout.ByteCount(root.Type));
            UnsharedBytes += size;
            long offset = 0;
            foreach ((long Offset, long End, int First, int Last) other in placed.Where(p => p.First <= last && first <= p.Last)
                .OrderBy(p => p.Offset))
            {
                if (other.Offset - offset >= size)
                {
                    break;
                }

                offset = Math.Max(offset, other.End);
            }

            placed.Add((offset, offset + size, first, last));
            arenaOffsets.Add(root, offset);
            ArenaBytes = Math.Max(ArenaBytes, offset + size);
        }
    }

    private static long Align(long bytes) => (bytes + Alignment - 1) / Alignment * Alignment;

    // First definition and last use of every value, in positions of the plan's nodes.
    private sealed class Lifetimes
    {
        private readonly int[] first;
        private readonly int[] last;

        public Lifetimes(Graph graph, IReadOnlyList<Node> nodes)
        {
            Graph = graph;
            first = new int[graph.Values.Count];
            last = new int[graph.Values.Count];
            Array.Fill(first, -1);
            Array.Fill(last, -1);
            for (int position = 0; position < nodes.Count; position++)
            {
                foreach (Value output in nodes[position].Outputs)
                {
                    first[output.Id] = last[output.Id] = position;
                }

                foreach (Value input in nodes[position].Inputs)
                {
                    last[input.Id] = position;
                }
            }

            foreach (Value output in graph.Outputs.Values)
            {
                last[output.Id] = Forever;
            }

            // A value is needed for as long as a view of it.
            foreach (Node node in nodes.Reverse().Where(node => node.Operation.ViewOfInput is not null))
            {
                Value whole = node.Inputs[0];
                last[whole.Id] = Math.Max(last[whole.Id], last[node.Outputs[0].Id]);
            }
        }

        public Graph Graph { get; }

        public (int First, int Last) this[Value value] => (first[value.Id], last[value.Id]);

        public bool IsRead(Value value) => last[value.Id] > first[value.Id];
    }

    // Finds the storage of every value.
    private sealed class Placer(MemoryPlan plan, ILayoutPolicy layout, Lifetimes lifetimes)
    {
        // A part's home: the joined tensor that holds it, and where.
        private readonly Dictionary<Value, Placement> homes = [];

        // What is known to lie in a joined tensor's storage: channels and lifetime, for joined tensors that share storage.
        private readonly Dictionary<Value, List<(int Start, int End, int First, int Last)>> occupants = [];

        public void Run()
        {
            FindHomes();

            // An input or parameter can be an output as it is, read by no node: the gradient of a sum is its cotangent.
            foreach (Value output in lifetimes.Graph.Outputs.Values.Where(output => output.Kind != ValueKind.Computed))
            {
                plan.placements[output.Id] = new Placement(output, default);
            }

            foreach (Node node in plan.Nodes)
            {
                foreach (Value input in node.Inputs)
                {
                    plan.placements[input.Id] ??= new Placement(input, default);
                }

                for (int output = 0; output < node.Outputs.Count; output++)
                {
                    Value value = node.Outputs[output];
                    if (value.UpdatedParameter is Value parameter)
                    {
                        plan.placements[value.Id] = new Placement(parameter, default);
                    }
                    else if (!node.Operation.MayOmit(output) || lifetimes.IsRead(value))
                    {
                        plan.placements[value.Id] = Home(value) ?? View(node, value) ?? InPlace(node, value)
                            ?? new Placement(value, default);
                    }
                }
            }
        }

        // Later joined tensors first: in the nested U-Net the last one of a level holds all the parts of the earlier ones.
        private void FindHomes()
        {
            List<Node> joins = [.. plan.Nodes.Where(node => node.Operation is Concat)];
            joins.Reverse();
            List<Node> holders = [];
            foreach (Node join in joins)
            {
                if (layout.JoinedMayShareStorage && ((Concat)join.Operation).Axis == Axis.Channel && holders.Exists(holder => ShareStorage(join, holder)))
                {
                    continue;
                }

                holders.Add(join);
                occupants[join.Outputs[0]] = [];
                Adopt(join, join.Outputs[0], 0);
            }
        }

        // Gives the parts of a joined tensor, from the given one on, a home in it where that is possible.
        private void Adopt(Node join, Value holder, int from)
        {
            Axis axis = ((Concat)join.Operation).Axis;
            int start = 0;
            for (int part = 0; part < join.Inputs.Count; part++)
            {
                Value value = join.Inputs[part];
                ViewOffset offset = axis == Axis.Batch ? new ViewOffset(start, 0) : new ViewOffset(0, start);
                int length = value.Shape[(int)axis];
                if (part >= from && CanMove(value) && layout.CanView(value.Type, holder.Type, offset))
                {
                    homes[value] = new Placement(holder, offset);
                }

                if (axis == Axis.Channel)
                {
                    // Occupied whether the part lives there or is copied there just before the join is read.
                    (int first, _) = homes.TryGetValue(value, out Placement home) && home.Root == holder
                        ? lifetimes[value]
                        : lifetimes[join.Outputs[0]];
                    int last = Math.Max(lifetimes[join.Outputs[0]].Last, home.Root == holder ? lifetimes[value].Last : 0);
                    occupants[holder].Add((start, start + length, first, last));
                }

                start += length;
            }
        }

        // A joined tensor whose first parts are those of a later one, [a, b, x] beside [a, b, c, y], can lie in the same storage when x is
        // dead before c and y come to life: at inference this leaves the nested U-Net without a single copy.
        private bool ShareStorage(Node join, Node later)
        {
            Value whole = join.Outputs[0];
            Value holder = later.Outputs[0];
            if (((Concat)later.Operation).Axis != Axis.Channel || whole.Shape.C > holder.Shape.C
                || !layout.CanView(whole.Type, holder.Type, default) || homes.ContainsKey(whole))
            {
                return false;
            }

            int shared = 0;
            int start = 0;
            while (shared < join.Inputs.Count && shared < later.Inputs.Count && join.Inputs[shared] == later.Inputs[shared]
                && homes.TryGetValue(join.Inputs[shared], out Placement home) && home == new Placement(holder, new ViewOffset(0, start)))
            {
                start += join.Inputs[shared].Shape.C;
                shared++;
            }

            if (shared == 0 || !join.Inputs.Skip(shared).All(CanMove))
            {
                return false;
            }

            int first = join.Inputs.Skip(shared).Select(part => lifetimes[part].First).Append(lifetimes[whole].First).Min();
            int last = join.Inputs.Skip(shared).Select(part => lifetimes[part].Last).Append(lifetimes[whole].Last).Max();
            if (occupants[holder].Exists(o => o.Start < whole.Shape.C && start < o.End && o.First <= last && first <= o.Last))
            {
                return false;
            }

            int position = start;
            foreach (Value part in join.Inputs.Skip(shared))
            {
                if (!layout.CanView(part.Type, holder.Type, new ViewOffset(0, position)))
                {
                    return false;
                }

                position += part.Shape.C;
            }

            homes[whole] = new Placement(holder, default);
            Adopt(join, holder, shared);
            return true;
        }

        // Inputs and parameters stay where they are; so do views, updated parameters and what has a home already.
        private bool CanMove(Value value) =>
            value.Kind == ValueKind.Computed && value.UpdatedParameter is null && !homes.ContainsKey(value)
            && value.Producer!.Operation.ViewOfInput is null && plan.placements[value.Id] is null;

        private Placement? Home(Value value)
        {
            if (!homes.TryGetValue(value, out Placement home))
            {
                return null;
            }

            // A home may itself have one: a batch of joined tensors.
            while (homes.TryGetValue(home.Root, out Placement outer))
            {
                home = new Placement(outer.Root,
                    new ViewOffset(outer.Offset.Image + home.Offset.Image, outer.Offset.Channel + home.Offset.Channel));
            }

            return home;
        }

        private Placement? View(Node node, Value value)
        {
            if (node.Operation.ViewOfInput is not ViewOffset offset || !layout.CanView(value.Type, node.Inputs[0].Type, offset))
            {
                return null;
            }

            Placement input = plan.placements[node.Inputs[0].Id]!.Value;
            var total = new ViewOffset(input.Offset.Image + offset.Image, input.Offset.Channel + offset.Channel);
            return layout.CanView(value.Type, input.Root.Type, total) ? new Placement(input.Root, total) : null;
        }

        // The result takes the place of an input that is computed, read for the last time, alone in its storage and as large.
        private Placement? InPlace(Node node, Value value)
        {
            if (value.OutputIndex != 0)
            {
                return null;
            }

            for (int index = 0; index < node.Inputs.Count; index++)
            {
                Value input = node.Inputs[index];
                Placement placement = plan.placements[input.Id]!.Value;
                if (node.Operation.MayOverwrite(index) && input.Kind == ValueKind.Computed && input.UpdatedParameter is null
                    && input.Type == value.Type && placement.Root.Type == input.Type
                    && lifetimes[input].Last == lifetimes[value].First && node.Inputs.Count(other => other == input) == 1
                    && IsAlone(input, placement.Root, lifetimes[value].First))
                {
                    return placement;
                }
            }

            return null;
        }

        // No other value in that storage is still needed at or after the given position, and none will be placed there later.
        private bool IsAlone(Value input, Value root, int position)
        {
            if (root.Kind != ValueKind.Computed || homes.Values.Any(home => home.Root == root))
            {
                return false;
            }

            foreach ((int id, Placement? placement) in plan.placements.Index())
            {
                if (placement?.Root == root && id != input.Id && lifetimes[lifetimes.Graph.Values[id]].Last >= position)
                {
                    return false;
                }
            }

            return true;
        }
    }
}
