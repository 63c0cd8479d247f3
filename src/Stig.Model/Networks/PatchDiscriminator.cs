using Stig.Model.Graphs;
using Stig.Model.Operations;

namespace Stig.Model.Networks;

/// <summary>
/// The patch discriminator D on normalised spectra, paper section 4: 3x3 convolutions of stride 2 to width, 2, 4 and 8 width channels with
/// LeakyReLU 0.2, instance norm without affine parameters on the last three, a 3x3 convolution to one channel, a sigmoid.
/// </summary>
/// <param name="Width">Channels after the first stage (64 in the paper).</param>
/// <param name="Prefix">Prefix of the parameter names.</param>
internal sealed record PatchDiscriminator(int Width, string Prefix = "discriminator.")
{
    public const int Stages = 4;
    private const int ImageChannels = 3;
    private const float Slope = 0.2f;
    private const float Epsilon = 1e-5f;

    public IEnumerable<ParameterSpec> Parameters()
    {
        int input = ImageChannels;
        for (int stage = 1; stage <= Stages; stage++)
        {
            int output = Width << (stage - 1);
            yield return new ParameterSpec($"{Prefix}stage_{stage}.block.0.weight", new Shape(output, input, 3, 3), Initializer.Normal002);
            yield return new ParameterSpec($"{Prefix}stage_{stage}.block.0.bias", new Shape(output), Initializer.Zero);
            input = output;
        }

        yield return new ParameterSpec($"{Prefix}patch.weight", new Shape(1, input, 3, 3), Initializer.Normal002);
        yield return new ParameterSpec($"{Prefix}patch.bias", new Shape(1), Initializer.Zero);
    }

    /// <summary>x [N, 3, H, W] to predictions in (0, 1), one a patch: [N, 1, H/16, W/16].</summary>
    public Value Apply(Graph graph, Value x) => Apply(graph, x, out _);

    /// <summary>As above, with the outputs of the four stages.</summary>
    public Value Apply(Graph graph, Value x, out Value[] stages)
    {
        stages = new Value[Stages];
        for (int stage = 1; stage <= Stages; stage++)
        {
            using IDisposable scope = graph.Scope($"{Prefix}stage_{stage}");
            int output = Width << (stage - 1);
            x = graph.Conv2d(x, Current(graph, $"stage_{stage}.block.0.weight", new Shape(output, x.Shape.C, 3, 3)),
                Current(graph, $"stage_{stage}.block.0.bias", new Shape(output)), 2, 1);
            x = stage == 1
                ? graph.LeakyRelu(x, Slope)
                : graph.Normalization(x, null, null, NormalizationStatistics.PerImage, Epsilon, Slope)[0];
            stages[stage - 1] = x;
        }

        using (graph.Scope($"{Prefix}patch"))
        {
            return graph.AsPlain(graph.Sigmoid(graph.Conv2d(
                x, Current(graph, "patch.weight", new Shape(1, x.Shape.C, 3, 3)), Current(graph, "patch.bias", new Shape(1)), 1, 1)));
        }
    }

    private Value Current(Graph graph, string name, Shape shape) => graph.Latest(graph.Parameter(Prefix + name, shape));
}
