using Stig.Model.Graphs;
using Stig.Model.Networks;
using Stig.Model.Operations;

namespace Stig.Model.Evaluation;

/// <summary>One training step of the CNN detector as a graph: mean cross entropy, gradients, gradient descent with momentum.</summary>
internal sealed class CnnDetectorGraph
{
    /// <summary>Prefix of the velocities in the tensor store; they start at zero.</summary>
    public const string VelocityPrefix = "optimizer.momentum_buffer.";

    private const float Momentum = 0.9f;
    private const double FirstLearningRate = 2e-4;
    private const double DecayPerEpoch = 0.95;

    /// <summary>Builds the step for spectra of the detector's size.</summary>
    public CnnDetectorGraph(CnnDetector detector, int batch)
    {
        Spectra = Graph.Input("spectra", TensorType.Float(batch, 3, detector.Size, detector.Size));
        Labels = Graph.Input("labels", TensorType.Integers(batch));
        LearningRate = Graph.Input("learning_rate", TensorType.Float());
        Logits = Graph.Output("logits", detector.Apply(Graph, Spectra, out Value[] stages));
        Stages = stages;
        Loss = Graph.Output("loss", Graph.CrossEntropy(Logits, Labels));
        ParameterSpec[] specs = [.. detector.Parameters()];
        IReadOnlyList<Value?> gradients = Gradients.Of(Loss, [.. specs.Select(spec => Graph.Parameter(spec.Name, spec.Shape))]);
        var update = new Sgd(Momentum);
        foreach ((ParameterSpec spec, Value? gradient) in specs.Zip(gradients))
        {
            ParameterGradients.Add(spec.Name, gradient!);
            Graph.Sgd(update, Graph.Parameter(spec.Name, spec.Shape), gradient!, Graph.Parameter(VelocityPrefix + spec.Name, spec.Shape),
                LearningRate);
        }
    }

    public Graph Graph { get; } = new();

    /// <summary>Scaled log magnitudes, [N, 3, S, S] in [-1, 1].</summary>
    public Value Spectra { get; }

    /// <summary>int32 [N]: <see cref="CnnDetector.Fake"/> or <see cref="CnnDetector.Real"/>.</summary>
    public Value Labels { get; }

    public Value LearningRate { get; }

    /// <summary>Scores at the start of the step, [N, 2].</summary>
    public Value Logits { get; }

    /// <summary>Loss at the start of the step.</summary>
    public Value Loss { get; }

    /// <summary>Results of the detector's four stages.</summary>
    public IReadOnlyList<Value> Stages { get; }

    /// <summary>Gradients of the loss, by parameter name.</summary>
    public Dictionary<string, Value> ParameterGradients { get; } = [];

    /// <summary>Learning rate of an epoch, counted from 0.</summary>
    public static double LearningRateOf(int epoch) => FirstLearningRate * Math.Pow(DecayPerEpoch, epoch);
}
