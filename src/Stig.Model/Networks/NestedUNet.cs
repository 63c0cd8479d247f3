using System.Text.Json.Serialization;
using Stig.Model.Execution;
using Stig.Model.Graphs;
using Stig.Model.Operations;

namespace Stig.Model.Networks;

/// <summary>Where a generator's normalisation takes its statistics from.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<NormalizationMode>))]
public enum NormalizationMode
{
    /// <summary>From each image: a result does not depend on the other images of the batch. The default for refinement.</summary>
    PerImage,

    /// <summary>From the batch at hand, as the reference implementation does always, at inference too.</summary>
    Batch,

    /// <summary>From the running averages of training, as batch normalisation is usually evaluated.</summary>
    Running,
}

/// <summary>
/// The generator: nested U-Net (UNet++, Zhou et al. 2018), paper section 4. Levels of width, 2, 4, 8 and 8 width channels; node X_ij is two
/// 3x3 convolutions, each with bias, batch norm and ReLU; X_i0 = block(maxpool(X_(i-1)0)), X_ij = block(concat(X_i0 .. X_i(j-1),
/// bicubic up(X_(i+1)(j-1)))); then a 1x1 convolution and 2 sigmoid - 1. Names and order of the parameters are PyTorch's.
/// </summary>
/// <param name="Width">Channels of the uppermost level (64 in the paper).</param>
/// <param name="Prefix">Prefix of the parameter names.</param>
/// <param name="ZeroOutput">Whether the last layer starts at zero, so that the network starts as the constant 0.</param>
internal sealed record NestedUNet(int Width, string Prefix = "generator.", bool ZeroOutput = false)
{
    /// <summary>Levels of the network; heights and widths must be multiples of <see cref="SizeMultiple"/>.</summary>
    public const int Levels = 5;

    /// <summary>2 to the number of poolings.</summary>
    public const int SizeMultiple = 16;

    private const int ImageChannels = 3;
    private const float Epsilon = 1e-5f;
    private const float Momentum = 0.1f;

    /// <summary>Channels of the encoder features X_i0.</summary>
    public int Channels(int level) => Width * (level switch { 0 => 1, 1 => 2, 2 => 4, _ => 8 });

    /// <summary>All tensors, running statistics included, in PyTorch's order.</summary>
    public IEnumerable<ParameterSpec> Parameters()
    {
        for (int column = 0; column < Levels; column++)
        {
            for (int level = 0; level < Levels - column; level++)
            {
                int output = Channels(level);
                int input = column > 0 ? (Channels(level) * column) + Channels(level + 1) : level > 0 ? Channels(level - 1) : ImageChannels;
                foreach (ParameterSpec spec in Layer(BlockName(level, column), 1, input, output)
                    .Concat(Layer(BlockName(level, column), 2, output, output)))
                {
                    yield return spec;
                }
            }
        }

        Initializer initializer = ZeroOutput ? Initializer.Zero : Initializer.Normal002;
        yield return new ParameterSpec($"{Prefix}final.weight", new Shape(ImageChannels, Width, 1, 1), initializer);
        yield return new ParameterSpec($"{Prefix}final.bias", new Shape(ImageChannels), Initializer.Zero);
    }

    /// <summary>The whole network: x [N, 3, H, W] to a plain tensor of that shape in (-1, 1).</summary>
    /// <param name="graph">Graph to add to.</param>
    /// <param name="x">Normalised spectra; H and W multiples of 16.</param>
    /// <param name="mode">Statistics of the normalisation.</param>
    /// <param name="trackRunning">Whether running statistics are updated (training with batch statistics).</param>
    public Value Apply(Graph graph, Value x, NormalizationMode mode, bool trackRunning = false)
    {
        Require(x);
        var nodes = new Value[Levels, Levels];
        for (int diagonal = 0; diagonal < Levels; diagonal++)
        {
            for (int column = 0; column <= diagonal; column++)
            {
                int level = diagonal - column;
                Value input = column > 0
                    ? Join(graph, nodes, level, column)
                    : level > 0 ? graph.MaxPool2x2(nodes[level - 1, 0]) : x;
                nodes[level, column] = Block(graph, input, level, column, mode, trackRunning);
            }
        }

        using (graph.Scope($"{Prefix}final"))
        {
            Value logits = graph.Conv2d(nodes[0, Levels - 1], Current(graph, "final.weight", new Shape(ImageChannels, Width, 1, 1)),
                Current(graph, "final.bias", new Shape(ImageChannels)), 1, 0);
            return graph.AsPlain(graph.SymmetricSigmoid(logits));
        }
    }

    /// <summary>Makes the network the constant 0: what it adds can be told from what it stands on.</summary>
    public void ZeroLastLayer(TensorStore store)
    {
        foreach (string name in (string[])["final.weight", "final.bias"])
        {
            store.Write(Prefix + name, new float[store.Shapes[Prefix + name].Count]);
        }
    }

    /// <summary>The encoder features X_00, X_10, ... of the first <paramref name="levels"/> levels, as the contrastive loss
    /// takes them.</summary>
    public Value[] Encode(Graph graph, Value x, int levels, NormalizationMode mode, bool trackRunning = false)
    {
        Require(x);
        var features = new Value[levels];
        for (int level = 0; level < levels; level++)
        {
            Value input = level > 0 ? graph.MaxPool2x2(features[level - 1]) : x;
            features[level] = Block(graph, input, level, 0, mode, trackRunning);
        }

        return features;
    }

    private static string BlockName(int level, int column) => $"conv{level}_{column}";

    private static void Require(Value x)
    {
        if (x.Shape.Rank != 4 || x.Shape.C != ImageChannels || x.Shape.H % SizeMultiple != 0 || x.Shape.W % SizeMultiple != 0)
        {
            throw new GraphException($"The generator takes [N, 3, H, W] with H and W multiples of {SizeMultiple}, not {x}.");
        }
    }

    private static Value Join(Graph graph, Value[,] nodes, int level, int column)
    {
        var parts = new Value[column + 1];
        for (int j = 0; j < column; j++)
        {
            parts[j] = nodes[level, j];
        }

        parts[column] = graph.BicubicUp2(nodes[level + 1, column - 1]);
        return graph.Concat(Axis.Channel, parts);
    }

    private Value Block(Graph graph, Value x, int level, int column, NormalizationMode mode, bool trackRunning)
    {
        int channels = Channels(level);
        using IDisposable scope = graph.Scope(Prefix + BlockName(level, column));
        for (int layer = 1; layer <= 2; layer++)
        {
            string name = BlockName(level, column);
            Value weights = Current(graph, $"{name}.conv{layer}.weight", new Shape(channels, x.Shape.C, 3, 3));
            Value bias = Current(graph, $"{name}.conv{layer}.bias", new Shape(channels));
            x = Normalize(graph, graph.Conv2d(x, weights, bias, 1, 1), $"{name}.bn{layer}", mode, trackRunning);
        }

        return x;
    }

    private Value Normalize(Graph graph, Value x, string name, NormalizationMode mode, bool trackRunning)
    {
        var channels = new Shape(x.Shape.C);
        Value gamma = Current(graph, $"{name}.weight", channels);
        Value beta = Current(graph, $"{name}.bias", channels);
        if (mode == NormalizationMode.Running)
        {
            return graph.ApplySingle(new RunningNormalization(Epsilon, 0f), x, gamma, beta,
                Current(graph, $"{name}.running_mean", channels), Current(graph, $"{name}.running_var", channels));
        }

        NormalizationStatistics statistics = mode == NormalizationMode.Batch
            ? NormalizationStatistics.Batch
            : NormalizationStatistics.PerImage;
        IReadOnlyList<Value> outputs = graph.Normalization(x, gamma, beta, statistics, Epsilon, 0f);
        if (trackRunning)
        {
            long count = (long)x.Shape.H * x.Shape.W * (mode == NormalizationMode.Batch ? x.Shape.N : 1);
            graph.Apply(new RunningStatistics(count, Momentum), outputs[1], outputs[2],
                Current(graph, $"{name}.running_mean", channels), Current(graph, $"{name}.running_var", channels));
        }

        return outputs[0];
    }

    private Value Current(Graph graph, string name, Shape shape) => graph.Latest(graph.Parameter(Prefix + name, shape));

    private IEnumerable<ParameterSpec> Layer(string block, int layer, int input, int output)
    {
        var channels = new Shape(output);
        yield return new ParameterSpec($"{Prefix}{block}.conv{layer}.weight", new Shape(output, input, 3, 3), Initializer.Normal002);
        yield return new ParameterSpec($"{Prefix}{block}.conv{layer}.bias", channels, Initializer.Zero);
        yield return new ParameterSpec($"{Prefix}{block}.bn{layer}.weight", channels, Initializer.NormalAroundOne);
        yield return new ParameterSpec($"{Prefix}{block}.bn{layer}.bias", channels, Initializer.Zero);
        yield return new ParameterSpec($"{Prefix}{block}.bn{layer}.running_mean", channels, Initializer.Zero, Trained: false);
        yield return new ParameterSpec($"{Prefix}{block}.bn{layer}.running_var", channels, Initializer.One, Trained: false);
    }
}
