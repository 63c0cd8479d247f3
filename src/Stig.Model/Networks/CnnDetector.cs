using Stig.Model.Graphs;
using Stig.Model.Operations;

namespace Stig.Model.Networks;

/// <summary>
/// The small detector of generated images by their spectra (Dzanic et al. 2020; Frank et al. 2020): 3x3 convolutions to 3, 8, 16 and 32
/// channels, each with a ReLU, means of 2x2 windows after the second and the third, and a linear layer to two scores.
/// </summary>
/// <param name="Size">Side of the spectra, a multiple of 4.</param>
internal sealed record CnnDetector(int Size)
{
    /// <summary>Class of generated images, the first score.</summary>
    public const int Fake = 0;

    /// <summary>Class of real images, the second score.</summary>
    public const int Real = 1;

    private const int Classes = 2;
    private const int ImageChannels = 3;

    // Number in the names, output channels, whether the result is halved.
    private static readonly (int Index, int Channels, bool Pool)[] Convolutions =
        [(0, 3, false), (2, 8, true), (5, 16, true), (8, 32, false)];

    private int Features => Convolutions[^1].Channels * (Size / 4) * (Size / 4);

    public IEnumerable<ParameterSpec> Parameters()
    {
        int input = ImageChannels;
        foreach ((int index, int channels, _) in Convolutions)
        {
            int fanIn = input * 9;
            yield return new ParameterSpec($"classifier.{index}.weight", new Shape(channels, input, 3, 3), Initializer.UniformFanIn, fanIn);
            yield return new ParameterSpec($"classifier.{index}.bias", new Shape(channels), Initializer.UniformFanIn, fanIn);
            input = channels;
        }

        yield return new ParameterSpec("linear.weight", new Shape(Classes, Features), Initializer.UniformFanIn, Features);
        yield return new ParameterSpec("linear.bias", new Shape(Classes), Initializer.UniformFanIn, Features);
    }

    /// <summary>What the network looks at: log magnitudes of images [N, 3, S, S], scaled to [-1, 1] image by image.</summary>
    public static Value Spectra(Graph graph, Value images) =>
        graph.RangeNormalize(graph.LogSpectrum(images).Magnitude, perImage: true, scale: 2f, offset: -1f).Normalized;

    /// <summary>Spectra [N, 3, S, S] to scores [N, 2].</summary>
    public Value Apply(Graph graph, Value spectra) => Apply(graph, spectra, out _);

    /// <summary>As above, with the results of the four stages, after the pooling where there is one.</summary>
    public Value Apply(Graph graph, Value spectra, out Value[] stages)
    {
        List<Value> results = [];
        Value x = spectra;
        foreach ((int index, int channels, bool pool) in Convolutions)
        {
            using IDisposable scope = graph.Scope($"classifier.{index}");
            x = graph.Relu(graph.Conv2d(x, Current(graph, $"classifier.{index}.weight", new Shape(channels, x.Shape.C, 3, 3)),
                Current(graph, $"classifier.{index}.bias", new Shape(channels)), 1, 1));
            x = pool ? graph.AveragePool2x2(x) : x;
            results.Add(x);
        }

        stages = [.. results];
        using (graph.Scope("linear"))
        {
            return graph.Linear(graph.Flatten(x), Current(graph, "linear.weight", new Shape(Classes, Features)),
                Current(graph, "linear.bias", new Shape(Classes)));
        }
    }

    private static Value Current(Graph graph, string name, Shape shape) => graph.Latest(graph.Parameter(name, shape));
}
