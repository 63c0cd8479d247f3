using System.Runtime.InteropServices;
using Stig.Model.Execution;
using Stig.Model.Graphs;
using Stig.Model.Operations;

namespace Stig.SelfTest;

/// <summary>Holds an executor to a case: forward, gradient, and what every operation promises besides.</summary>
internal static class OperationChecks
{
    // Central differences of a double-precision oracle: with values of order one the step's truncation and rounding errors are both below
    // 1e-9, far under every float32 bound.
    private const double Step = 1e-5;
    private const int AllCoordinatesUpTo = 64;
    private const int SampledCoordinates = 16;
    private const int SampledDirections = 3;

    /// <summary>
    /// Runs a case. Outputs are compared with the oracle, the gradient of sum(output 0 * cotangent), for a random cotangent, with central
    /// differences of the oracle. Inputs must be unchanged, two runs and a run whose further outputs nobody reads must give the same bytes,
    /// and so must single images where the operation promises it.
    /// </summary>
    public static CaseResult Run(Executor executor, OperationCase operation)
    {
        var random = new Random(Seed(operation.Name));
        Tensor[] inputs = [.. operation.Inputs.Select(input => input.Draw(random))];
        var report = new Report();

        byte[][] results = CheckForward(executor, operation, inputs, report);
        if (operation.PerImage)
        {
            CheckSingleImages(executor, operation, inputs, results, report);
        }

        if (operation.Gradient is not null && GradientNodes(operation).All(executor.CanRun))
        {
            CheckGradients(executor, operation, inputs, random, report);
        }

        return new CaseResult(operation.Name, report.Failures, report.Measurements);
    }

    /// <summary>Runs a case's forward graph once and compares nothing.</summary>
    public static void RunOnce(Executor executor, OperationCase operation)
    {
        var random = new Random(Seed(operation.Name));
        Tensor[] inputs = [.. operation.Inputs.Select(input => input.Draw(random))];
        Built built = Build(operation, [.. operation.Inputs.Select(input => input.Type)]);
        DeclareOutputs(built, built.Outputs.Length);
        using var run = new Session(executor, built, inputs);
        _ = run.Execute(built.Outputs);
    }

    /// <summary>Types of the operations that a case exercises, those of its gradient among them.</summary>
    public static IReadOnlySet<Type> OperationTypes(OperationCase operation) =>
        GradientNodes(operation).Select(node => node.Operation.GetType()).ToHashSet();

    private static IReadOnlyList<Node> GradientNodes(OperationCase operation)
    {
        Built built = Build(operation, [.. operation.Inputs.Select(input => input.Type)]);
        if (operation.Gradient is not null)
        {
            AddGradients(operation, built);
        }

        return built.Graph.Nodes;
    }

    /// <summary>Whether an executor can run a case at all; its gradient is checked only where the executor has those operations too.</summary>
    public static bool Supports(Executor executor, OperationCase operation) =>
        CanRun(executor.CanRun, operation) && (executor.FeatureRounding == 0 || !operation.NeedsFloat32Features);

    /// <summary>Whether every node of a case's forward graph can be run.</summary>
    public static bool CanRun(Func<Node, bool> canRunNode, OperationCase operation) =>
        Build(operation, [.. operation.Inputs.Select(input => input.Type)]).Graph.Nodes.All(canRunNode);

    // Feature maps of fewer bits: each value is rounded when it is laid out and again when it is written, and sums amplify that a little.
    // Products of fewer bits: both factors are rounded.
    private static Bound Widened(Bound bound, Executor executor, Built built, double sensitivity = 1)
    {
        bool maps = built.Graph.Nodes.Any(node => node.Outputs.Any(output => output.Type.Layout == TensorLayout.FeatureMap));
        bool products = built.Graph.Nodes.Any(node => node.Operation is Conv2d);
        double rounding = (maps ? executor.FeatureRounding : 0) + (products ? executor.ProductRounding : 0);
        return rounding == 0
            ? bound
            : new Bound(bound.RelativeL2 + (4 * sensitivity * rounding), bound.Maximum + (8 * sensitivity * rounding),
                $"{bound.Reason}; values or products are rounded by {rounding:G2}");
    }

    private static byte[][] CheckForward(Executor executor, OperationCase operation, Tensor[] inputs, Report report)
    {
        Built built = Build(operation, [.. operation.Inputs.Select(input => input.Type)]);
        bool updates = built.Graph.Nodes.Any(node => node.Operation.UpdatedInput(0) is not null);
        DeclareOutputs(built, built.Outputs.Length);
        if (!updates)
        {
            DeclareInputs(built);
        }

        byte[][] results;
        byte[][] again;
        using (var run = new Session(executor, built, inputs))
        {
            results = run.Execute(built.Outputs);
            if (updates)
            {
                using var second = new Session(executor, built, inputs);
                again = second.Execute(built.Outputs);
            }
            else
            {
                again = run.Execute(built.Outputs);
                report.CheckInputs(operation, inputs, built.Inputs, run);
            }
        }

        Tensor[] expected = operation.Oracle(inputs);
        for (int output = 0; output < results.Length; output++)
        {
            CaseOutput declared = operation.Outputs[output];
            double[] numbers = Numbers(results[output], built.Outputs[output].Type);
            report.Compare(declared.Name, numbers, Rounded(expected[output], declared.Bound), Widened(declared.Bound, executor, built, declared.Sensitivity));
            report.CheckSame(results[output], again[output], $"{declared.Name}: a second run gives other bytes");
        }

        if (results.Length > 1 && !updates)
        {
            Built alone = Build(operation, [.. operation.Inputs.Select(input => input.Type)]);
            DeclareOutputs(alone, 1);
            using var run = new Session(executor, alone, inputs);
            report.CheckSame(results[0], run.Execute([alone.Outputs[0]])[0],
                $"{operation.Outputs[0].Name}: gives other bytes when nobody reads the further outputs");
        }

        return results;
    }

    private static void CheckSingleImages(Executor executor, OperationCase operation, Tensor[] inputs, byte[][] results, Report report)
    {
        int images = inputs[0].N;
        if (images < 2)
        {
            throw new ArgumentException($"{operation.Name} promises independent images but has only one.", nameof(operation));
        }

        bool[] cut = [.. operation.Inputs.Select(input => !input.IsParameter && input.Type.Shape.N == images)];
        Built single = Build(operation, [.. operation.Inputs.Select((input, i) => cut[i] ? OneImage(input.Type) : input.Type)]);
        DeclareOutputs(single, single.Outputs.Length);
        for (int image = 0; image < images; image++)
        {
            using var run = new Session(executor, single, [.. inputs.Select((input, i) => cut[i] ? Part(input, image) : input)]);
            byte[][] alone = run.Execute(single.Outputs);
            for (int output = 0; output < results.Length; output++)
            {
                int length = results[output].Length / images;
                report.CheckSame(results[output].AsSpan(image * length, length), alone[output],
                    $"{operation.Outputs[output].Name}: image {image} alone gives other bytes than in the batch");
            }
        }
    }

    private static void CheckGradients(Executor executor, OperationCase operation, Tensor[] inputs, Random random, Report report)
    {
        Built built = Build(operation, [.. operation.Inputs.Select(input => input.Type)]);
        Bound bound = Widened(operation.Gradient!, executor, built);
        Value[] gradients = AddGradients(operation, built);
        DeclareInputs(built);
        Tensor cotangent = new CaseInput("cotangent", TensorType.Float(built.Outputs[0].Shape), Fills.Normal()).Draw(random);

        using var run = new Session(executor, built, [.. inputs, cotangent]);
        byte[][] results = run.Execute(gradients);
        byte[][] again = run.Execute(gradients);
        report.CheckInputs(operation, inputs, built.Inputs, run);

        int index = 0;
        for (int input = 0; input < inputs.Length; input++)
        {
            if (!operation.Inputs[input].HasGradient)
            {
                continue;
            }

            string name = $"gradient of {operation.Inputs[input].Name}";
            double[] gradient = Numbers(results[index], gradients[index].Type);
            report.CheckSame(results[index], again[index], $"{name}: a second run gives other bytes");
            CompareWithDifferences(operation, inputs, input, cotangent, gradient, name, bound, random, report);
            index++;
        }
    }

    // All coordinates of a small input. Of a large one a sample, and a few random directions of signs, which see every coordinate: the
    // error along such a direction is the norm of the gradient's error in the mean, and less than three times that.
    private static void CompareWithDifferences(
        OperationCase operation, Tensor[] inputs, int input, Tensor cotangent, double[] gradient, string name, Bound bound, Random random,
        Report report)
    {
        bool all = gradient.Length <= AllCoordinatesUpTo;
        int[] coordinates = [.. Enumerable.Range(0, all ? gradient.Length : SampledCoordinates)
            .Select(i => all ? i : random.Next(gradient.Length))];
        double[] expected = Array.ConvertAll(
            coordinates, coordinate => Difference(operation, inputs, input, cotangent, i => i == coordinate ? 1 : 0));
        double norm = Norm(gradient);
        if (all)
        {
            report.Compare(name, gradient, expected, bound);
            return;
        }

        // A few coordinates of a large gradient may all be small: their errors count against the whole gradient's size.
        double scale = Math.Max(norm / Math.Sqrt(gradient.Length), Norm(expected) / Math.Sqrt(expected.Length));
        double[] errors = [.. coordinates.Zip(expected, (coordinate, value) => gradient[coordinate] - value)];
        report.Add(new Measurement(
            $"{name}, {errors.Length} coordinates", Ratio(Norm(errors) / Math.Sqrt(errors.Length), scale),
            Ratio(errors.Max(Math.Abs), 4 * scale), bound));

        for (int k = 0; k < SampledDirections; k++)
        {
            double[] signs = [.. gradient.Select(_ => random.Next(2) == 0 ? -1.0 : 1.0)];
            double along = gradient.Zip(signs, (g, s) => g * s).Sum();
            double error = Math.Abs(along - Difference(operation, inputs, input, cotangent, i => signs[i]));
            report.Add(new Measurement($"{name}, direction {k}", Ratio(error, 3 * norm), 0, bound));
        }

        if (norm == 0 && Norm(expected) > 0)
        {
            report.Fail($"{name}: is all zeros, the oracle is not");
        }
    }

    // Derivative of sum(output 0 * cotangent) along a direction in one input.
    private static double Difference(OperationCase operation, Tensor[] inputs, int input, Tensor cotangent, Func<int, double> direction)
    {
        double Moved(double step)
        {
            Tensor original = inputs[input];
            double[] values = [.. original.Values.Select((value, i) => value + (step * direction(i)))];
            Tensor[] moved = [.. inputs];
            moved[input] = new Tensor(original.Shape, original.Element, values);
            return operation.Oracle(moved)[0].Values.Zip(cotangent.Values, (value, weight) => value * weight).Sum();
        }

        return (Moved(Step) - Moved(-Step)) / (2 * Step);
    }

    private static Built Build(OperationCase operation, TensorType[] types)
    {
        var graph = new Graph();
        Value[] inputs =
        [
            .. operation.Inputs.Select((input, i) =>
                input.IsParameter ? graph.Parameter(input.Name, types[i].Shape) : graph.Input(input.Name, types[i])),
        ];
        Value[] outputs = operation.Build(graph, inputs);
        return outputs.Length == operation.Outputs.Count
            ? new Built(graph, inputs, outputs)
            : throw new ArgumentException(
                $"{operation.Name} builds {outputs.Length} outputs and names {operation.Outputs.Count}.", nameof(operation));
    }

    private static Value[] AddGradients(OperationCase operation, Built built)
    {
        Graph graph = built.Graph;
        Value cotangent = graph.Input("cotangent", TensorType.Float(built.Outputs[0].Shape));
        Value seed = built.Outputs[0].Type.Layout == TensorLayout.FeatureMap ? graph.AsFeatures(cotangent) : cotangent;
        Value[] variables = [.. built.Inputs.Where((_, i) => operation.Inputs[i].HasGradient)];
        IReadOnlyList<Value?> gradients = Gradients.Of([(built.Outputs[0], seed)], variables);
        Value[] found = [.. gradients.Select((gradient, i) =>
            gradient ?? throw new GraphException($"{operation.Name}: no gradient reaches {variables[i].Name}."))];
        for (int i = 0; i < found.Length; i++)
        {
            graph.Output($"gradient of {variables[i].Name}", found[i]);
        }

        built.Inputs = [.. built.Inputs, cotangent];
        return found;
    }

    private static void DeclareOutputs(Built built, int count)
    {
        for (int output = 0; output < count; output++)
        {
            built.Graph.Output($"output {output}", built.Outputs[output]);
        }
    }

    // Makes the inputs readable, to see that a run leaves them as they were.
    private static void DeclareInputs(Built built)
    {
        foreach (Value input in built.Inputs)
        {
            built.Graph.Output($"input {input.Name}", input);
        }
    }

    private static TensorType OneImage(TensorType type) => type with { Shape = type.Shape.With(0, 1) };

    private static Tensor Part(Tensor tensor, int image)
    {
        int length = tensor.Values.Length / tensor.N;
        return new Tensor(tensor.Shape.With(0, 1), tensor.Element, tensor.Values.AsSpan(image * length, length).ToArray());
    }

    private static double[] Rounded(Tensor expected, Bound bound) =>
        bound == Bound.Exact && expected.Element == ElementType.Float32 ? expected.Map(value => (float)value).Values : expected.Values;

    private static byte[] Bytes(Tensor tensor) => tensor.Element switch
    {
        ElementType.Int32 => MemoryMarshal.AsBytes<int>(Array.ConvertAll(tensor.Values, value => (int)value)).ToArray(),
        ElementType.UInt8 => Array.ConvertAll(tensor.Values, value => (byte)value),
        _ => MemoryMarshal.AsBytes<float>(Array.ConvertAll(tensor.Values, value => (float)value)).ToArray(),
    };

    private static double[] Numbers(byte[] bytes, TensorType type) => type.Element switch
    {
        ElementType.Int32 => [.. MemoryMarshal.Cast<byte, int>(bytes).ToArray().Select(value => (double)value)],
        ElementType.UInt8 => Array.ConvertAll(bytes, value => (double)value),
        _ => [.. MemoryMarshal.Cast<byte, float>(bytes).ToArray().Select(value => (double)value)],
    };

    private static double Norm(double[] values) => Math.Sqrt(values.Sum(value => value * value));

    private static double Ratio(double error, double size) => error == 0 ? 0 : error / size;

    // FNV-1a, so that a name has the same inputs on every machine and in every run.
    private static int Seed(string name)
    {
        uint hash = 2166136261;
        foreach (char letter in name)
        {
            hash = (hash ^ letter) * 16777619;
        }

        return (int)(hash & 0x7FFFFFFF);
    }

    private sealed class Built(Graph graph, Value[] inputs, Value[] outputs)
    {
        public Graph Graph => graph;

        public Value[] Inputs { get; set; } = inputs;

        public Value[] Outputs => outputs;
    }

    // A compiled graph with its inputs written.
    private sealed class Session : IDisposable
    {
        private readonly TensorStore store;
        private readonly Model.Execution.Program program;

        public Session(Executor executor, Built built, Tensor[] inputs)
        {
            store = executor.CreateStore();
            foreach ((Value value, Tensor tensor) in built.Inputs.Zip(inputs).Where(pair => pair.First.Kind == ValueKind.Parameter))
            {
                store.Create(value.Name, value.Shape, Array.ConvertAll(tensor.Values, number => (float)number));
            }

            program = executor.Compile(built.Graph, store);
            foreach ((Value value, Tensor tensor) in built.Inputs.Zip(inputs).Where(pair => pair.First.Kind == ValueKind.Input))
            {
                program.Write<byte>(value, Bytes(tensor));
            }
        }

        public byte[][] Execute(Value[] outputs)
        {
            program.Run();
            return Array.ConvertAll(outputs, Read);
        }

        public byte[] Read(Value value)
        {
            byte[] bytes = new byte[value.Type.ByteCount];
            program.Read<byte>(value, bytes);
            return bytes;
        }

        public void Dispose()
        {
            program.Dispose();
            store.Dispose();
        }
    }

    private sealed class Report
    {
        public List<string> Failures { get; } = [];

        public List<Measurement> Measurements { get; } = [];

        public void Fail(string message) => Failures.Add(message);

        public void Add(Measurement measurement)
        {
            Measurements.Add(measurement);
            if (!measurement.Passed)
            {
                Fail(measurement.ToString());
            }
        }

        public void Compare(string what, double[] result, double[] expected, Bound bound)
        {
            if (result.Length != expected.Length)
            {
                Fail($"{what}: has {result.Length} elements, the oracle {expected.Length}");
                return;
            }

            if (!result.All(double.IsFinite))
            {
                Fail($"{what}: {result.Count(value => !double.IsFinite(value))} of {result.Length} elements are not finite");
                return;
            }

            if (result.All(value => value == 0) && expected.Any(value => value != 0))
            {
                Fail($"{what}: is all zeros, the oracle is not");
                return;
            }

            double[] errors = [.. result.Zip(expected, (value, reference) => value - reference)];
            Add(new Measurement(
                what, Ratio(Norm(errors), Norm(expected)), Ratio(errors.Max(Math.Abs), expected.Max(Math.Abs)), bound));
        }

        public void CheckSame(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, string otherwise)
        {
            if (!first.SequenceEqual(second))
            {
                Fail(otherwise);
            }
        }

        public void CheckInputs(OperationCase operation, Tensor[] inputs, Value[] values, Session run)
        {
            for (int input = 0; input < inputs.Length; input++)
            {
                CheckSame(Bytes(inputs[input]), run.Read(values[input]), $"{operation.Inputs[input].Name}: the run has changed this input");
            }
        }
    }
}
